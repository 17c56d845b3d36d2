/* How large the world is, how much may go wrong in it, and which fault a broken variant has.

   A configuration sets what it wants otherwise on the command line (-DSTEPS=2). Each bound is a budget: once
   it is used up, that kind of fault happens no more. What needs no budget may happen at any time, any number of
   times: messages are delayed, reordered, and delivered again. */

#ifndef STEPS
#define STEPS 2          /* of the saga, 1 to 3 */
#endif
#ifndef FORK
#define FORK 0           /* 1: the first two steps need nothing and run in parallel; 0: a sequence */
#endif
#ifndef PIVOT
#define PIVOT 9          /* the place of the pivot; the steps after it are retriable. 9: none */
#endif
#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 2   /* of a compensatable step's Try */
#endif
#ifndef STARTS
#define STARTS 1         /* how often the client asks for the saga */
#endif
#ifndef WISHES
#define WISHES 1         /* turns for the deadline or a cancel to bring about */
#endif
#ifndef CRASHES
#define CRASHES 1        /* of coordinators */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 0      /* sagas taken over from a coordinator that may be still at work */
#endif
#ifndef LOSSES
#define LOSSES 1         /* attempts whose time is up before their reply is there */
#endif
#ifndef STATUSES
#define STATUSES 0       /* definite statuses that come from anything on the way */
#endif
#ifndef PENDINGS
#define PENDINGS 0       /* times a participant says 'pending' */
#endif
#ifndef REFUSALS
#define REFUSALS 0       /* compensations that a participant refuses */
#endif
#ifndef GATHER
#define GATHER 1         /* turns that may gather while a commit runs */
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

#define LOG 24           /* events that a log can hold; a longer one is an error, not an end */
#define TURN 12          /* facts on their way to the disk */

/* The broken variants. The driver, check.py, says which promise each of them must be caught breaking. */
#define ACT_BEFORE_DURABLE    1
#define ANSWER_BEFORE_COMMIT  2
#define APPEND_UNFENCED       3
#define WRITE_AFTER_CONFLICT  4
#define RECOVERY_FORGETS      5
#define RECOVER_NOTHING       6
#define DOUBT_FORGOTTEN       7
#define SIBLING_IN_FLIGHT     8
#define UNDO_IN_FORWARD_ORDER 9
#define PIVOT_GIVEN_UP       10
#define STATUS_BELIEVED      11
#define COMPENSATE_ONCE      12
#define NO_TOMBSTONE         13
#define TOMBSTONE_UNCHECKED  14
#define TRY_RUNS_AGAIN       15
#define UNDO_RUNS_AGAIN      16
#define PENDING_BELIEVED     17
#define NOT_WITHDRAWN        18

#define broken(variant) (BROKEN == variant)
