/* The fold: core/fold.py, fact by fact. The machine changes a saga by the same inlines that rebuild it.

   Left out is what decides nothing: attention, results, effect-free steps, and the counts of Compensates. */

hidden byte i, k, holds, trying, undoing, successes, unsettled;

#define me           live[c]
#define my(step)     live[c].runs[step]
#define called(step) (my(step).state == TRYING || my(step).state == COMPENSATING)
#define is_settled(step) \
    (my(step).state == REJECTED || my(step).state == COMPENSATED || my(step).state == SKIPPED)

/* A forbidden transition is a mistake of the model, as it would be one of the code. */
inline move(place, before, after) {
    assert(my(place).state == before);
    my(place).state = after;
    my(place).waiting = false;
    my(place).pending = false
}

inline count() {
    trying = 0; undoing = 0; successes = 0; unsettled = 0;
    for (i : 0 .. STEPS - 1) {
        trying = trying + (my(i).state == TRYING);
        undoing = undoing + (my(i).state == COMPENSATING);
        successes = successes + (my(i).state == SUCCEEDED);
        unsettled = unsettled + !is_settled(i)
    }
}

inline open_dependents() {
    for (i : 0 .. STEPS - 1) {
        holds = me.saga == RUNNING && my(i).state == WAITING;
        for (k : 0 .. STEPS - 1) { holds = holds && !(needed_by(k, i) && my(k).state != SUCCEEDED) }
        my(i).state = (holds -> TRYING : my(i).state)
    }
}

#define must_wait_for(a, b) (broken(UNDO_IN_FORWARD_ORDER) -> needed_by(b, a) : needed_by(a, b))

/* P6: nothing is being tried any more, and every step that needs it is settled. From the last step to the first, as
   in fold.py; nobody can tell the difference, for a step that has begun to be undone is not settled. */
inline undo_those_whose_turn_it_is() {
    count();
    if
    :: me.saga == COMPENSATING && (trying == 0 || broken(SIBLING_IN_FLIGHT)) ->
        for (i : 0 .. STEPS - 1) {
            holds = my(i).state == SUCCEEDED || my(i).state == UNKNOWN;
            for (k : 0 .. STEPS - 1) {
                holds = holds && (is_settled(k) || !must_wait_for(i, k))
            }
            my(i).state = (holds -> COMPENSATING : my(i).state)
        }
    :: else
    fi
}

/* Applies one fact to the saga of coordinator c. */
inline apply(fact, place) {
    if
    :: fact == SagaStarted -> me.saga = RUNNING;
        for (i : 0 .. STEPS - 1) { my(i).state = (needs(i) == 0 -> TRYING : WAITING) }
    :: fact == StepSucceeded -> move(place, TRYING, SUCCEEDED); open_dependents()
    :: fact == StepRejected ->
        move(place, TRYING, (my(place).doubt && !broken(DOUBT_FORGOTTEN) -> UNKNOWN : REJECTED))
    :: fact == AttemptFailed -> my(place).waiting = true; my(place).pending = false;
        if
        :: my(place).state == TRYING -> my(place).doubt = true;
            my(place).attempts = (my(place).attempts < MAX_ATTEMPTS -> my(place).attempts + 1 : MAX_ATTEMPTS)
        :: else
        fi
    :: fact == AttemptPending -> my(place).waiting = true; my(place).pending = true
    :: fact == StepGivenUp -> move(place, TRYING, UNKNOWN)
    :: fact == CancelRequested
    :: fact == CompensationStarted -> assert(me.saga == RUNNING); me.saga = COMPENSATING;
        for (i : 0 .. STEPS - 1) { my(i).state = (my(i).state == WAITING -> SKIPPED : my(i).state) }
    :: fact == StepCompensated -> move(place, COMPENSATING, COMPENSATED)
    :: fact == CompensationRefused -> move(place, COMPENSATING, REFUSED)
    :: fact == SagaParked -> me.saga = PARKED
    :: fact == SagaCompleted -> me.saga = COMPLETED
    :: fact == SagaCompensated -> me.saga = COMPENSATED
    fi;
    undo_those_whose_turn_it_is()
}
