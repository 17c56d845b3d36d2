/* The machine: core/machine.py, decision by decision.

   There is no clock. A wait for the next attempt, a deadline and a recovery may end, pass and come at any moment,
   which covers every clock there is, right or wrong. */

#define may_turn_back \
    (me.saga == RUNNING && (PIVOT >= STEPS || my(PIVOT).state == WAITING || broken(PIVOT_GIVEN_UP)))
#define told_to_wait(place) (my(place).pending && !broken(PENDING_BELIEVED))
#define in_doubt_of_the_pivot(place) \
    (place == PIVOT && (my(place).doubt || told_to_wait(place)) && !broken(STATUS_BELIEVED))
#define not_due(step) (my(step).waiting && !(my(step).state == TRYING && me.saga == COMPENSATING))

inline record(fact, place) {
    me.unwritten[me.facts].what = fact;
    me.unwritten[me.facts].step = place;
    me.facts++
}

/* An attempt ended, and nobody knows how. */
inline failed(place, last) {
    record(AttemptFailed, place);
    if
    :: my(place).state == TRYING && me.saga == COMPENSATING -> record(StepGivenUp, place)
    :: my(place).state == TRYING && me.saga == RUNNING ->
        turning = last && my(place).attempts + 1 >= MAX_ATTEMPTS &&
                (compensatable(place) || broken(PIVOT_GIVEN_UP))
    :: else
    fi
}

/* What a reply to the call of a step means; `turning` is set where the saga has to turn back. */
inline replied(place) {
    outcome = my(place).call;
    my(place).call = 0;
    if
    :: outcome == SUCCEEDED -> record(StepSucceeded, place)
    :: outcome == REJECTED || (outcome == STATUS && !in_doubt_of_the_pivot(place)) ->
        if
        :: outcome == STATUS && told_to_wait(place) -> record(AttemptFailed, place) /* it may still come about */
        :: else
        fi;
        record(StepRejected, place);
        turning = me.saga == RUNNING && !retriable(place)
    :: outcome == UNKNOWN || (outcome == STATUS && in_doubt_of_the_pivot(place)) -> failed(place, true)
    :: outcome == PENDING && me.saga == COMPENSATING && my(place).state == TRYING -> record(StepGivenUp, place)
    :: outcome == PENDING && !(me.saga == COMPENSATING && my(place).state == TRYING) -> record(AttemptPending, place)
    :: outcome == COMPENSATED -> record(StepCompensated, place)
    :: outcome == REFUSED -> record(CompensationRefused, place)
    fi;
    outcome = 0
}

/* Counts every attempt that may have been in flight as ended unknown. Of one that waits for its time nobody knows
   whether that has come. In a saga that turned back, what is being tried is in flight. */
inline recovered() {
    say("coordinator %d goes on from the log\n", c);
    if
    :: wishes > 0 && may_turn_back -> wishes--; turning = true;
        say("coordinator %d: the deadline has passed meanwhile\n", c)
    :: do
       :: place < STEPS && called(place) && !turning && !broken(RECOVERY_FORGETS) ->
            d_step { failed(place, !my(place).pending); place++ }
       :: place < STEPS && (!called(place) || not_due(place) || broken(RECOVERY_FORGETS)) -> place++
       :: place == STEPS || turning -> break
       od
    fi
}

/* No new attempt starts. What is in flight is awaited, the rest is given up. */
inline turn_back() {
    record(CompensationStarted, 0);
    for (i : 0 .. STEPS - 1) {
        if
        :: my(i).state == TRYING && my(i).call == 0 -> record(StepGivenUp, i)
        :: else
        fi
    }
}

/* A call may leave once its turn is on disk (P7). One that asks for nothing new, a repetition whose time has come,
   may leave at once where nothing is on its way to the disk. */
inline call_those_that_are_ready() {
    for (i : 0 .. STEPS - 1) {
        if
        :: called(i) && my(i).call == 0 && !my(i).waiting ->
            my(i).call = ((me.facts == 0 || broken(ACT_BEFORE_DURABLE)) -> DUE : QUEUED)
        :: else
        fi
    }
}

inline tell(fact, place) {
    say("coordinator %d decides: ", c);
    printm(fact);
    if
    :: fact == SagaStarted || fact == CancelRequested || fact == CompensationStarted || fact == SagaParked ||
       fact == SagaCompleted || fact == SagaCompensated -> say("\n")
    :: else -> say(" %d\n", place)
    fi
}

/* Ends a decision: applies its facts and what follows from them, and names the calls that they ask for. */
inline take_turn() {
    done = first;                              /* earlier facts have been applied in their turns */
    do
    :: done < me.facts -> tell(me.unwritten[done].what, me.unwritten[done].step);
        apply(me.unwritten[done].what, me.unwritten[done].step); done++
    :: done == me.facts && turning -> turning = false; turn_back()
    :: done == me.facts && !turning && done > first ->
        count();
        if
        :: me.saga == RUNNING && successes == STEPS -> record(SagaCompleted, 0)
        :: me.saga == RUNNING && successes < STEPS && trying == 0 -> record(SagaParked, 0)
        :: me.saga == COMPENSATING && trying + undoing == 0 && unsettled == 0 -> record(SagaCompensated, 0)
        :: me.saga == COMPENSATING && trying + undoing == 0 && unsettled > 0 -> record(SagaParked, 0)
        :: else -> break
        fi
    :: else -> break
    od;
    if
    :: me.facts > first -> me.unwritten[first].first = true; me.turns++; first = me.facts
    :: else
    fi;
    call_those_that_are_ready();
    done = 0
}
