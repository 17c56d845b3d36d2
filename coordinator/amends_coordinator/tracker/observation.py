"""What was heard of a saga: one event on the bus, without its payload. Pure."""

import enum
from dataclasses import dataclass

from amends_coordinator.tracker.graph import StepKey


class Outcome(enum.StrEnum):
    """How a step ended, as its event says."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    COMPENSATED = "compensated"
    BURIED = "buried"
    """It was to be compensated before it was tried, and never will be."""


TURNED_BACK = frozenset({Outcome.REJECTED, Outcome.COMPENSATED, Outcome.BURIED})
"""What no step tells in a saga that only goes forward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a dead letter says, or the note that it was sent again or discarded."""

    consumer: str
    event_id: str  # of the event that the consumer could not deal with: its source and id
    event_type: str = ""
    step: str = ""  # the consumer's step that failed; empty where it came to none
    reason: str = ""
    message: str = ""
    attempts: int = 0
    replayed: bool = False
    discarded: bool = False  # whether nobody is to deal with the event; the message says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One event."""

    reference: str  # its source and id
    type: str
    source: str  # the service
    time: float  # moment, by the service's clock as far as ours agrees
    step: str = ""  # whose end it tells
    outcome: Outcome | None = None  # None where it tells of none
    cause: str = ""  # the reference of the event that led to it
    replay_of: str = ""
    traceparent: str = ""
    letter: Letter | None = None

    @property
    def key(self) -> StepKey | None:
        """The step whose end it tells; None for an event that tells of none."""
        if self.letter is not None or not self.step or self.outcome is None:
            return None
        return StepKey(self.source, self.step)
