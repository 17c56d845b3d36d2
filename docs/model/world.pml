/* What there is: the durable log, two coordinators, the network, and a participant for each step.

   A saga is the fold of its log, and what a coordinator holds in memory is the fold of the log plus the facts
   that are not on disk yet. The names are those of the code. */

mtype = { WAITING, TRYING, SUCCEEDED, REJECTED, UNKNOWN, COMPENSATING, COMPENSATED, SKIPPED, REFUSED };
mtype = { RUNNING, COMPLETED, PARKED };       /* states of a saga, with COMPENSATING and COMPENSATED */
mtype = { TRIED, TOMBSTONE };                 /* states of a fence's row, with REJECTED and COMPENSATED */
mtype = { QUEUED, DUE, SENT, STATUS, PENDING }; /* states of a call; any other is the answer to it */
mtype = {                                     /* facts: core/facts.py */
    SagaStarted, StepSucceeded, StepRejected, AttemptFailed, AttemptPending, StepGivenUp, CancelRequested,
    CompensationStarted, StepCompensated, CompensationRefused, SagaParked, SagaCompleted, SagaCompensated
};

typedef Fact {
    mtype what;
    byte step;
    bool first             /* of its turn; an append is a turn, all of it or nothing */
}

typedef Run {              /* core/saga.py, StepRun */
    mtype state;
    byte attempts;         /* of Try that ended; no more are counted than matter */
    bool doubt;            /* an earlier attempt ended unknown and may still land */
    bool waiting;          /* for the time of the next attempt */
    bool pending;          /* the participant said so last */
    mtype call             /* 0: none. QUEUED: its turn is not on disk. DUE: may leave. SENT. Or its answer */
}

typedef Live {             /* runtime/live.py, Live: everything in it is lost in a crash */
    bool up;
    mtype saga;            /* 0: not in memory */
    bool rebuilt;          /* from the log a moment ago, and not told so yet */
    byte durable;          /* events of the log that it knows of */
    Run runs[STEPS];
    Fact unwritten[TURN];  /* decided, and on the way to the disk */
    byte facts;            /* how many those are */
    byte turns             /* in how many turns */
}

Fact log[LOG];             /* the durable log of the one saga there is */
byte length;
Live live[2];

mtype fence[STEPS];        /* the row of each step at its participant; 0: none */
bool late_try[STEPS];      /* a Try is somewhere in the network whose answer nobody waits for */
bool late_compensate[STEPS];

byte starts = STARTS, wishes = WISHES, crashes = CRASHES, takeovers = TAKEOVERS;
byte losses = LOSSES, statuses = STATUSES, pendings = PENDINGS, refusals = REFUSALS;
bool answered;             /* the client was told that the saga is accepted */

/* The definition: which steps must have succeeded before a step, as a set of bits. */
#define bit(step)        (1 << (step))
#define needs(step)      (((step) == 0 || (FORK && (step) == 1)) -> 0 : ((FORK && (step) == 2) -> 3 : bit((step) - 1)))
#define needed_by(a, b)  ((needs(b) & bit(a)) != 0)
#define retriable(step)  ((step) > PIVOT)
#define compensatable(step) ((step) < PIVOT)

/* Chooses any step for which a condition holds; blocks while there is none. */
#define some(step, holds) \
    if \
    :: holds(0) -> step = 0 \
    :: STEPS > 1 && holds(1) -> step = 1 \
    :: STEPS > 2 && holds(2) -> step = 2 \
    fi

#define say printf
