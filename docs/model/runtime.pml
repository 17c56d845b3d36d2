/* The runtime: runtime/runtime.py and runtime/journal.py, with the (saga, sequence) fence of the store. */

hidden byte n, expected, fenced;

#define needless(step) \
    ((my(step).call == QUEUED || my(step).call == DUE) && my(step).state == TRYING && \
     me.saga == COMPENSATING && !broken(NOT_WITHDRAWN))
#define unfinished (length > 0 && !completed && !undone_all)

inline leave_in_the_network(place) {
    late_try[place] = late_try[place] || (my(place).call == SENT && my(place).state == TRYING);
    late_compensate[place] = late_compensate[place] || (my(place).call == SENT && my(place).state == COMPENSATING)
}

inline clear_unwritten() {
    for (n : 0 .. me.facts - 1) {
        me.unwritten[n].what = 0; me.unwritten[n].step = 0; me.unwritten[n].first = false
    }
    me.facts = 0; me.turns = 0; first = 0
}

/* What was in memory is gone, whether by a crash or because the saga is somebody else's, or has ended. */
inline forget() {
    clear_unwritten();
    for (n : 0 .. STEPS - 1) {
        leave_in_the_network(n);
        my(n).state = 0; my(n).attempts = 0; my(n).doubt = false; my(n).waiting = false; my(n).pending = false;
        my(n).call = 0
    }
    me.saga = 0; me.rebuilt = false; me.durable = 0; lost[c] = false
}

/* The facts are durable, and what they ask for may happen. A call that was not sent before the saga turned back is
   withdrawn. A saga that has ended leaves memory. */
inline carry_out() {
    clear_unwritten();
    for (n : 0 .. STEPS - 1) {
        if
        :: needless(n) -> my(n).call = UNKNOWN
        :: my(n).call == QUEUED && !needless(n) -> my(n).call = DUE
        :: else
        fi
    }
    if
    :: me.saga == COMPLETED || me.saga == COMPENSATED -> forget()
    :: else
    fi
}

/* The group commit: everything that has gathered, in one transaction. An append names the place of its first event;
   where the log does not end right before it, somebody else writes, and nothing that follows is written either. */
inline commit() {
    expected = me.durable; fenced = false;
    for (n : 0 .. me.facts - 1) {
        fenced = (fenced && !(me.unwritten[n].first && broken(WRITE_AFTER_CONFLICT))) ||
                 (expected != length && !broken(APPEND_UNFENCED));
        if
        :: !fenced ->
            log[length].what = me.unwritten[n].what; log[length].step = me.unwritten[n].step; length++;
            note(c, log[length - 1].what, log[length - 1].step)
        :: else
        fi;
        expected++
    }
    if
    :: fenced -> say("coordinator %d: its append is refused, and it lets the saga go\n", c);
        if
        :: me.durable == 0 -> tell_the_client()    /* the saga exists, and its start joins it */
        :: else
        fi;
        forget()
    :: else -> say("coordinator %d: %d events are durable\n", c, length);
        tell_the_client(); me.durable = expected;
        carry_out()
    fi
}

inline send(place) {
    if
    :: my(place).state == TRYING -> permit_try(place);
        keep(7, me.saga != COMPENSATING || me.facts > 0); /* on disk, the turn back permits no new attempt */
        say("coordinator %d -> participant %d: Try\n", c, place)
    :: else -> permit_compensate(place);
        say("coordinator %d -> participant %d: Compensate\n", c, place)
    fi;
    my(place).call = SENT
}

/* Time is up. The request may arrive later; a reply that comes later is not heard. */
inline give_up_waiting(place) {
    say("coordinator %d gives up waiting for step %d\n", c, place);
    leave_in_the_network(place);
    my(place).call = UNKNOWN
}

/* Folds the log. An ended saga is left alone. */
inline rebuild() {
    if
    :: unfinished ->
        for (n : 0 .. length - 1) { apply(log[n].what, log[n].step) }
        me.durable = length; me.rebuilt = true
    :: else
    fi
}
