/* A participant and the network before it. Mirrors sdk/amends/_fence/decision.py: handler, effect and row are one
   transaction, so a participant that crashes loses a request or a reply, and nothing else.

   Whatever was sent may be delivered late, in any order, and again for ever: `late_try` and `late_compensate`
   hold it, and are never emptied. Only a status that comes from something on the way means, as the calls
   layer reads it, that this one call arrived nowhere. */

/* A Try arrives; `answer` is what the participant says. */
inline try_arrives(place) {
    if
    :: fence[place] == 0 || (fence[place] == TRIED && broken(TRY_RUNS_AGAIN)) ||
       (broken(TOMBSTONE_UNCHECKED) && (fence[place] == TOMBSTONE || fence[place] == COMPENSATED)) ->
        if
        :: d_step {
            fence[place] = TRIED;
            say("    participant %d: the effect is applied\n", place);
            apply_effect(place);
            answer = SUCCEEDED
           }
        :: d_step {
            fence[place] == 0 -> fence[place] = REJECTED; answer = REJECTED;
            say("    participant %d: rejects\n", place)
           }
        :: d_step {
            fence[place] == 0 && pendings > 0 -> pendings--; answer = PENDING;
            say("    participant %d: not decided yet\n", place)
           }
        fi
    :: fence[place] == TRIED && !broken(TRY_RUNS_AGAIN) ->
        answer = SUCCEEDED;
        say("    participant %d: repeats that it succeeded\n", place)
    :: fence[place] == REJECTED ->
        answer = REJECTED;
        say("    participant %d: repeats the rejection\n", place)
    :: fence[place] == COMPENSATED && !broken(TOMBSTONE_UNCHECKED) ->
        answer = REJECTED;
        say("    participant %d: refuses a Try whose effect was undone\n", place)
    :: fence[place] == TOMBSTONE && !broken(TOMBSTONE_UNCHECKED) ->
        answer = REJECTED;
        say("    participant %d: refuses a Try at the tombstone\n", place)
    fi
}

/* A Compensate arrives. */
inline compensate_arrives(place) {
    if
    :: d_step {
        fence[place] == 0 && !broken(NO_TOMBSTONE) -> fence[place] = TOMBSTONE; answer = COMPENSATED;
        say("    participant %d: puts up a tombstone\n", place)
       }
    :: d_step { fence[place] == 0 && broken(NO_TOMBSTONE) -> answer = COMPENSATED }
    :: d_step {
        fence[place] == TRIED || (fence[place] == COMPENSATED && broken(UNDO_RUNS_AGAIN)) ->
        fence[place] = COMPENSATED;
        say("    participant %d: the effect is undone\n", place);
        undo_effect(place);
        answer = COMPENSATED
       }
    :: d_step {
        fence[place] == TRIED && refusals > 0 -> refusals--; answer = REFUSED;
        say("    participant %d: refuses to undo\n", place)
       }
    :: d_step {
        fence[place] == REJECTED || fence[place] == TOMBSTONE ||
        (fence[place] == COMPENSATED && !broken(UNDO_RUNS_AGAIN)) -> answer = COMPENSATED;
        say("    participant %d: has nothing to undo\n", place)
       }
    fi;
    if
    :: answer == COMPENSATED -> closed = closed | bit(place)
    :: else
    fi
}

#define reaches(c) (live[c].runs[place].call == SENT)
#define is_late_try(step) late_try[step]
#define is_late_compensate(step) late_compensate[step]

/* Answers the calls that somebody waits for. */
proctype Participant(byte place) {
    byte c;
    mtype answer;
end:
    do
    :: atomic {
        if
        :: reaches(0) -> c = 0
        :: reaches(1) -> c = 1
        fi;
        if
        :: live[c].runs[place].state == TRYING ->
            late_try[place] = true;
            try_arrives(place)
        :: live[c].runs[place].state == TRYING && statuses > 0 ->
            statuses--; answer = STATUS;
            say("    on the way to participant %d: a definite status\n", place)
        :: live[c].runs[place].state == COMPENSATING ->
            late_compensate[place] = true;
            compensate_arrives(place)
        fi;
        live[c].runs[place].call = answer; answer = 0; c = 0
       }
    od
}

/* Delivers what nobody waits for any more, and what was delivered before. */
proctype Late() {
    byte place;
    mtype answer;
end:
    do
    :: atomic { some(place, is_late_try); try_arrives(place); answer = 0; place = 0 }
    :: atomic { some(place, is_late_compensate); compensate_arrives(place); answer = 0; place = 0 }
    od
}
