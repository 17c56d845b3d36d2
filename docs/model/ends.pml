/* What the model must be able to come to. Each of these says that it never does, and must fail: a model in which
   nothing happens keeps every promise. */

ltl reaches_completed             { [] !completed }
ltl reaches_compensated           { [] !undone_all }
ltl reaches_parked                { [] !parked }
ltl reaches_try_at_tombstone      { [] !(fence[0] == TOMBSTONE && late_try[0]) }
ltl reaches_try_after_undo        { [] !(fence[0] == COMPENSATED && late_try[0]) }
ltl reaches_two_owners            { [] !(live[0].saga != 0 && live[1].saga != 0) }
ltl reaches_stale_append          { [] !(lost[0] && live[0].facts > 0) }
ltl reaches_rejected_in_doubt     { [] !(has(rejected, 0) && has(doubtful, 0) && has(compensated, 0)) }
ltl reaches_pivot_kept_past_wish  { [] !(has(succeeded, 1) && wishes == 0 && completed) }
