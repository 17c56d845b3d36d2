/* Amends, one saga: two coordinators, of which one may be stale, and a fenced participant for each step.

   README.md says what the model leaves out, and check.py runs it. */

#include "bounds.pml"
#include "world.pml"
#include "promises.pml"
#include "ends.pml"
#include "participant.pml"
#include "fold.pml"
#include "machine.pml"
#include "runtime.pml"

#define is_answer(call)  ((call) != 0 && (call) != QUEUED && (call) != DUE && (call) != SENT)
#define listens          (me.saga != 0 && !me.rebuilt && me.turns < GATHER)
#define is_replied(step) (listens && is_answer(my(step).call))
#define may_expire(step) (listens && losses > 0 && (my(step).call == SENT || is_answer(my(step).call)))
#define may_call(step)   (listens && called(step) && my(step).waiting && my(step).call == 0 && \
                          !(broken(COMPENSATE_ONCE) && my(step).state == COMPENSATING))
#define is_due(step)     (my(step).call == DUE)

proctype Coordinator(byte c) {
    byte place, first, done;
    mtype outcome;
    bool turning;
end:
    do
    :: atomic {                                /* something happens to the saga, and the machine decides */
        if
        :: me.up && me.saga == 0 && starts > 0 && (c == 0 || STARTS > 1) -> starts--;
            say("coordinator %d is asked to start the saga\n", c);
            record(SagaStarted, 0);
            if
            :: broken(ANSWER_BEFORE_COMMIT) -> tell_the_client()
            :: else
            fi
        :: some(place, is_replied); d_step { replied(place) }
        :: some(place, may_expire); d_step { losses--; give_up_waiting(place); replied(place) }
        :: some(place, may_call); my(place).waiting = false
        :: listens && wishes > 0 && may_turn_back -> wishes--; turning = true;
            say("coordinator %d: the deadline passes\n", c)
        :: listens && wishes > 0 && me.saga == RUNNING -> wishes--; turning = may_turn_back;
            say("coordinator %d is asked to cancel\n", c);
            record(CancelRequested, 0)
        :: me.rebuilt -> me.rebuilt = false; recovered()
        fi;
        d_step { take_turn(); place = 0 }
       }
    :: d_step { me.facts > 0 -> commit() }
    :: atomic { some(place, is_due); d_step { send(place); place = 0 } }
    :: d_step { me.saga != 0 && crashes > 0 -> crashes--; forget(); me.up = false;
        say("coordinator %d crashes\n", c) }
    :: d_step { !me.up && !broken(RECOVER_NOTHING) -> me.up = true; rebuild() }
    :: d_step { me.up && me.saga == 0 && takeovers > 0 && unfinished -> takeovers--; rebuild();
        say("coordinator %d takes the saga over\n", c) }
    od
}

init {
    atomic {
        live[0].up = true; live[1].up = true;
        run Coordinator(0); run Coordinator(1); run Late();
        run Participant(0);
        if :: STEPS > 1 -> run Participant(1) :: else fi;
        if :: STEPS > 2 -> run Participant(2) :: else fi
    }
}
