"""The saga machine: pure, without I/O, clock or asyncio.

Theory of operation
-------------------
A saga is the fold of its facts: ``fold.apply`` takes the facts of a log in order and rebuilds it.
``machine.advance`` decides: given a saga, a stimulus (a reply, a timer, an operator's wish, a recovery), the
time and a random number, it records new facts and names the calls to make. Equal inputs give equal outputs.
Which state may follow which is written in two tables in ``transitions``, and nowhere else.

Ground rules
------------
- Only ``apply`` changes what the log determines. ``StepRun.in_flight`` is the one thing a saga knows that
  its log does not: it is true from the decision to call until the reply, and lost in a crash.
- A call may leave only when the facts of the decision that named it, and all earlier ones of its saga, are
  durable (P7). The core cannot see to that; the runtime does.
- Times are seconds since the epoch as floats that are whole microseconds, durations are seconds.
"""
