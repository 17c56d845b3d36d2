/* The promises: a second opinion on the log that shares nothing with the fold, a ledger of what participants did,
   and what must be true of both. Nothing in the protocol reads what is kept here. */

byte tryable, succeeded, doubtful, rejected, given_up, compensated; /* steps of which the log says so */
bool turned_back, parked, completed, undone_all;
bool lost[2];              /* somebody else has written since the coordinator last knew the whole log */
byte applied[STEPS];       /* how often a step's effect was applied, and undone */
byte undone[STEPS];
byte closed;               /* steps whose Compensate was answered: no effect may follow */

hidden byte p, q;

inline keep(number, condition) {
    if
    :: condition
    :: else -> say("P%d is broken\n", number); assert(false)
    fi
}

#define has(set, step)   ((set & bit(step)) != 0)
#define standing(step)   (applied[step] > undone[step])
#define outcome_known(step) (!has(tryable, step) || has((succeeded | rejected | given_up), step))
#define settled(step) \
    (!has(tryable, step) || has(compensated, step) || (has(rejected, step) && !has(doubtful, step)))

/* Reads a fact that has become durable. */
inline note(writer, fact, place) {
    keep(9, !lost[writer]);
    lost[1 - writer] = live[1 - writer].saga != 0;
    if
    :: fact == SagaStarted -> keep(10, length == 1)
    :: fact == StepSucceeded -> succeeded = succeeded | bit(place)
    :: fact == StepRejected -> rejected = rejected | bit(place)
    :: fact == AttemptFailed && !outcome_known(place) -> doubtful = doubtful | bit(place)
    :: fact == StepGivenUp -> given_up = given_up | bit(place)
    :: fact == CompensationStarted -> turned_back = true; keep(8, !has(succeeded, PIVOT))
    :: fact == StepCompensated -> compensated = compensated | bit(place); keep(7, turned_back)
    :: fact == SagaParked -> parked = true
    :: fact == SagaCompleted -> completed = true
    :: fact == SagaCompensated -> undone_all = true
    :: else
    fi;
    for (p : 0 .. STEPS - 1) {
        if
        :: !turned_back && (needs(p) & ~succeeded) == 0 -> tryable = tryable | bit(p)
        :: else
        fi
    }
    check_effects()
}

/* What must be true of effects and log at every moment. */
inline check_effects() {
    for (p : 0 .. STEPS - 1) {
        keep(4, applied[p] <= 1 && undone[p] <= applied[p]);
        keep(3, !completed || standing(p));
        keep(3, !undone_all || !standing(p));
        keep(8, !(p == PIVOT && turned_back && standing(p)));
        for (q : 0 .. STEPS - 1) {
            keep(6, !(needed_by(q, p) && standing(p) && !standing(q)))
        }
    }
}

/* The client is told that its saga is accepted. */
inline tell_the_client() {
    answered = true;
    keep(1, length > 0)
}

/* A call leaves: the durable log must permit it. */
inline permit_try(place) {
    keep(7, length > 0);
    keep(6, has(tryable, place))
}

inline permit_compensate(place) {
    keep(7, turned_back);
    for (p : 0 .. STEPS - 1) {
        keep(6, outcome_known(p));
        keep(6, !needed_by(place, p) || settled(p))
    }
}

/* An effect is applied, or undone. */
inline apply_effect(place) {
    applied[place]++;
    keep(5, !has(closed, place));
    check_effects()
}

inline undo_effect(place) {
    undone[place]++;
    check_effects()
}

ltl p1 { [] (answered -> length > 0) }
ltl p2 { [] (length > 0 -> <> (completed || undone_all || parked)) }
ltl p3 { [] !(completed && undone_all) }
ltl p8 { [] (has(succeeded, PIVOT) -> [] !turned_back) }
