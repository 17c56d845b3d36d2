"""The events of a saga as a client sees them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from google.protobuf.message import Message

from amends._client._states import Direction, member, moment
from amends.v1 import event_pb2, saga_pb2


class EventKind(StrEnum):
    """What happened. Named as the facts of the contract's Event."""

    SAGA_STARTED = "SAGA_STARTED"
    """The saga was accepted."""
    STEP_SUCCEEDED = "STEP_SUCCEEDED"
    """A Try took effect."""
    STEP_REJECTED = "STEP_REJECTED"
    """A Try was rejected."""
    ATTEMPT_FAILED = "ATTEMPT_FAILED"
    """An attempt ended and its outcome is not known."""
    ATTEMPT_PENDING = "ATTEMPT_PENDING"
    """A participant has not decided yet."""
    STEP_GIVEN_UP = "STEP_GIVEN_UP"
    """A step gets no more attempts, though it may have happened."""
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    """A cancel was accepted."""
    COMPENSATION_STARTED = "COMPENSATION_STARTED"
    """The saga turned back."""
    STEP_COMPENSATED = "STEP_COMPENSATED"
    """A step has no effect any more."""
    COMPENSATION_REFUSED = "COMPENSATION_REFUSED"
    """A participant will not undo a step."""
    ATTENTION_NEEDED = "ATTENTION_NEEDED"
    """An operator should look."""
    SAGA_PARKED = "SAGA_PARKED"
    """The saga waits for an operator."""
    SAGA_RETRIED = "SAGA_RETRIED"
    """An operator had it retried."""
    STEP_RESOLVED = "STEP_RESOLVED"
    """An operator stated what is true of a step."""
    SAGA_COMPLETED = "SAGA_COMPLETED"
    """Every step succeeded. The last event of its saga."""
    SAGA_COMPENSATED = "SAGA_COMPENSATED"
    """Every step that may have had an effect is compensated. The last event of its saga."""
    EVENT_OBSERVED = "EVENT_OBSERVED"
    """An event of a choreographed saga was heard on the bus."""
    SAGA_STALLED = "SAGA_STALLED"
    """A choreographed saga does not go on."""
    UNRECOGNIZED = "UNRECOGNIZED"
    """Something that this version of the client has no word for; a newer coordinator sent it."""


ENDINGS = frozenset({EventKind.SAGA_COMPLETED, EventKind.SAGA_COMPENSATED})
"""The last events of sagas."""

_KINDS = {kind.name.lower(): kind for kind in EventKind}


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """One fact in the log of a saga: a read-only view of the message, which is kept as ``proto``."""

    proto: event_pb2.Event

    @property
    def saga_id(self) -> str:
        """Identifies the saga."""
        return self.proto.saga_id

    @property
    def sequence(self) -> int:
        """The number of the event within its saga, from 1, without gaps."""
        return self.proto.sequence

    @property
    def time(self) -> datetime:
        """When the coordinator learned or decided it."""
        return moment(self.proto.time)

    @property
    def kind(self) -> EventKind:
        """What happened."""
        return _KINDS.get(self.proto.WhichOneof("fact") or "", EventKind.UNRECOGNIZED)

    @property
    def fact(self) -> Message | None:
        """All of what happened, as the contract's message, such as StepRejected; None if unrecognized."""
        name = self.proto.WhichOneof("fact")
        return None if name is None else getattr(self.proto, name)

    @property
    def step(self) -> str:
        """The step it happened to; empty where it happened to the saga."""
        return getattr(self.fact, "step", "")

    @property
    def attempt(self) -> int:
        """The number of the attempt; 0 where there is none."""
        return getattr(self.fact, "attempt", 0)

    @property
    def direction(self) -> Direction | None:
        """Which way the attempt went; None where that is not said."""
        number = getattr(self.fact, "direction", 0)
        return member(Direction, saga_pb2.Direction, number) if number else None

    def __repr__(self) -> str:
        step = f", step={self.step!r}" if self.step else ""
        attempt = f", attempt={self.attempt}" if self.attempt else ""
        return f"Event({self.sequence}, {self.kind.name}{step}{attempt})"
