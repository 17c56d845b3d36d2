"""Where sagas and steps are, in Python's words, and how the numbers on the wire become these words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from amends.v1 import saga_pb2

E = TypeVar("E", bound=Enum)


class SagaState(StrEnum):
    """Where a saga is."""

    RUNNING = "RUNNING"
    """Goes forward."""
    COMPLETED = "COMPLETED"
    """Every step succeeded. Final."""
    COMPENSATING = "COMPENSATING"
    """Turned back; waits for calls in flight, or undoes what took effect."""
    COMPENSATED = "COMPENSATED"
    """Every step that may have had an effect is compensated. Final."""
    PARKED = "PARKED"
    """Waits for an operator: retry or resolve moves it on."""
    STALLED = "STALLED"
    """Choreographed sagas only: somebody is expected to react and has not for a long time, or could not deal
    with an event. Goes on by itself once that is mended."""

    @property
    def ended(self) -> bool:
        """Whether this is final."""
        return self in (SagaState.COMPLETED, SagaState.COMPENSATED)

    @property
    def settled(self) -> bool:
        """Whether the saga will not move by itself: it ended, or waits for an operator."""
        return self.ended or self is SagaState.PARKED


class StepState(StrEnum):
    """Where a step of a saga is."""

    WAITING = "WAITING"
    """Waits for the steps it needs."""
    TRYING = "TRYING"
    """Is being tried: a call is under way, or due."""
    SUCCEEDED = "SUCCEEDED"
    """Took effect."""
    REJECTED = "REJECTED"
    """Was rejected, and had no effect."""
    UNKNOWN = "UNKNOWN"
    """Its attempts ended and it may have happened. It is compensated like one that succeeded."""
    COMPENSATING = "COMPENSATING"
    """Is being compensated: a call is under way, or due."""
    COMPENSATED = "COMPENSATED"
    """Has no effect any more. Final."""
    SKIPPED = "SKIPPED"
    """Was never called, and never will be. Final."""
    REFUSED = "REFUSED"
    """Its compensation was refused, the effect may stay, and the saga waits for an operator."""


class Cause(StrEnum):
    """What made a saga turn back."""

    STEP_REJECTED = "STEP_REJECTED"
    """A step was rejected."""
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    """A step failed in as many attempts as it has."""
    DEADLINE_PASSED = "DEADLINE_PASSED"
    """The saga's timeout passed."""
    CANCELLED = "CANCELLED"
    """Somebody cancelled it."""


class Direction(StrEnum):
    """Which way a call goes."""

    FORWARD = "FORWARD"
    """A Try."""
    BACKWARD = "BACKWARD"
    """A Compensate."""


def member(enum: type[E], message_enum: Any, number: int) -> E:
    """Returns the member for a number on the wire.

    Raises ``ValueError`` for one that this version does not know; upgrade the client.
    """
    return enum[message_enum.Name(number)]


_SAGA_STATES: Mapping[int, SagaState] = {
    number: SagaState[name] for name, number in saga_pb2.Saga.State.items() if number
}
# A dictionary, for those who read thousands a second.


def saga_state(number: int) -> SagaState:
    """Returns the state of a saga for a number on the wire. Raises as :func:`member` does."""
    return _SAGA_STATES.get(number) or member(SagaState, saga_pb2.Saga.State, number)


def moment(time: Timestamp) -> datetime:
    """Returns a moment in UTC."""
    return time.ToDatetime(tzinfo=UTC)
