"""How participants are called.

A :class:`~amends_coordinator.calls.participant.Participant` takes attempts, keeps at most so many of them in
flight, sends them by one Exchange stream or by unary RPCs, whichever the participant offers, and says of each
exactly once what it came to. How a reply or a status is read is written in one table, in ``reading``.
"""
