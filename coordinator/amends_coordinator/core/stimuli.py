"""What goes into the machine, and what comes out: what can happen to a saga, and what is to be done then."""

from dataclasses import dataclass, field

from amends_coordinator.core import facts as f
from amends_coordinator.core import outcomes
from amends_coordinator.core.values import Direction, Payload, Resolution


@dataclass(frozen=True, slots=True)
class Replied:
    """A call ended."""

    place: int
    direction: Direction
    attempt: int
    outcome: outcomes.Outcome


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Something may be due: the saga's wake time has come."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The saga was rebuilt from its log after a crash: nobody knows what its calls in flight came to."""


@dataclass(frozen=True, slots=True)
class CancelWished:
    """Somebody wants the saga to turn back."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetryWished:
    """An operator wants it called now."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResolveWished:
    """An operator knows what is true of a step."""

    place: int
    resolution: Resolution
    reason: str
    result: Payload | None = None


Stimulus = Replied | TimePassed | Recovered | CancelWished | RetryWished | ResolveWished


class WishRefusedError(Exception):
    """A wish that the saga's state does not allow. Nothing has changed.

    ``reason`` is stable and for programs, the message is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Call:
    """Call a step's participant.

    May leave only once the facts of its decision, and all before them, are durable (P7).
    """

    place: int
    direction: Direction
    attempt: int


@dataclass(slots=True)
class Decision:
    """What a stimulus led to."""

    facts: list[f.Fact] = field(default_factory=list)  # to be made durable first
    calls: list[Call] = field(default_factory=list)  # to be made then
    withdrawals: list[int] = field(default_factory=list)  # places whose Try need not leave if it has not yet
