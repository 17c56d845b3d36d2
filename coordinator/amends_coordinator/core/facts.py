"""The facts of which a saga's log is made. Each says what the coordinator learned or decided.

They mirror amends/v1/event.proto, where every one of them is explained; the time of a fact and its sequence
number belong to its place in the log, not to the fact.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from amends_coordinator.core.definition import Definition
from amends_coordinator.core.values import Direction, Payload, Refusal, Rejection, Resolution, TurnBack


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaStarted:
    """A saga was accepted."""

    definition: Definition
    input: Payload | None = None
    step_inputs: Mapping[str, Payload]
    labels: Mapping[str, str]
    deadline: float | None = None  # moment
    traceparent: str = ""
    definition_by_name: bool = False  # the client named the definition instead of sending it


@dataclass(frozen=True, slots=True)
class StepSucceeded:
    """A Try took effect."""

    step: str
    attempt: int
    result: Payload | None


@dataclass(frozen=True, slots=True)
class StepRejected:
    """A Try was rejected."""

    step: str
    attempt: int
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt ended and its outcome is not known."""

    step: str
    direction: Direction
    attempt: int
    code: int  # google.rpc.Code
    message: str
    next_attempt_time: float | None  # moment


@dataclass(frozen=True, slots=True)
class AttemptPending:
    """A participant has not decided yet."""

    step: str
    direction: Direction
    attempt: int
    next_attempt_time: float  # moment


@dataclass(frozen=True, slots=True)
class StepGivenUp:
    """A step gets no more attempts, though it may have happened."""

    step: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A cancel was accepted."""

    reason: str


@dataclass(frozen=True, slots=True)
class CompensationStarted:
    """The saga turned back."""

    turn_back: TurnBack


@dataclass(frozen=True, slots=True)
class StepCompensated:
    """A step has no effect any more. Attempt 0: no call was needed."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CompensationRefused:
    """A participant will not undo a step."""

    step: str
    attempt: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class AttentionNeeded:
    """An operator should look, while the coordinator goes on trying."""

    step: str
    message: str


@dataclass(frozen=True, slots=True)
class SagaParked:
    """Nothing more can be done without an operator."""

    message: str


@dataclass(frozen=True, slots=True)
class SagaRetried:
    """An operator had the saga retried."""

    reason: str


@dataclass(frozen=True, slots=True)
class StepResolved:
    """An operator stated what is true of a step."""

    step: str
    resolution: Resolution
    reason: str
    result: Payload | None = None


@dataclass(frozen=True, slots=True)
class SagaCompleted:
    """Every step succeeded."""


@dataclass(frozen=True, slots=True)
class SagaCompensated:
    """Every step that may have had an effect is compensated."""


Fact = (
    SagaStarted
    | StepSucceeded
    | StepRejected
    | AttemptFailed
    | AttemptPending
    | StepGivenUp
    | CancelRequested
    | CompensationStarted
    | StepCompensated
    | CompensationRefused
    | AttentionNeeded
    | SagaParked
    | SagaRetried
    | StepResolved
    | SagaCompleted
    | SagaCompensated
)


@dataclass(frozen=True, slots=True)
class Event:
    """A fact in its place: the log of a saga is a list of these, numbered from 1 without gaps."""

    sequence: int
    time: float  # moment
    fact: Fact
