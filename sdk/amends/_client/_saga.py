"""Sagas as a client sees them.

Each class is a view: it holds the message that the coordinator sent, as ``proto``, and says it in Python's
words. Nothing is converted before somebody asks for it, and nothing is lost: what a newer coordinator tells
beyond this is still in the message, which programs can print as JSON. A view is read only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, overload

from amends._client._states import Cause, Direction, SagaState, StepState, member, moment, saga_state
from amends._definition import Definition, Step
from amends._described import as_json
from amends._payload import unpack
from amends.errors import Rejected
from amends.v1 import coordinator_pb2, saga_pb2

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class TurnBack:
    """Why a saga turned back."""

    proto: saga_pb2.TurnBack

    @property
    def cause(self) -> Cause:
        """What made it turn back."""
        return member(Cause, saga_pb2.TurnBack.Cause, self.proto.cause)

    @property
    def step(self) -> str:
        """The step that was rejected or whose attempts were exhausted; empty for other causes."""
        return self.proto.step

    @property
    def reason(self) -> str:
        """The reason for programs: the participant's own for a rejection, else the cause."""
        return self.proto.reason

    @property
    def message(self) -> str:
        """The reason for people."""
        return self.proto.message

    @property
    def metadata(self) -> Mapping[str, str]:
        """Further facts of a rejection."""
        return self.proto.metadata

    def __repr__(self) -> str:
        step = f", step={self.step!r}" if self.step else ""
        return f"TurnBack({self.cause.name}{step}, reason={self.reason!r})"


@dataclass(frozen=True, slots=True, repr=False)
class AttemptFailure:
    """How the last attempt of a step failed, and so why the step waits."""

    proto: saga_pb2.AttemptFailure

    @property
    def attempt(self) -> int:
        """The attempt, from 1."""
        return self.proto.attempt

    @property
    def direction(self) -> Direction:
        """Which way the call went."""
        return member(Direction, saga_pb2.Direction, self.proto.direction)

    @property
    def code(self) -> int:
        """The gRPC status code."""
        return self.proto.code

    @property
    def message(self) -> str:
        """The failure for people."""
        return self.proto.message

    @property
    def time(self) -> datetime:
        """When the attempt ended."""
        return moment(self.proto.time)

    def __repr__(self) -> str:
        return f"AttemptFailure({self.attempt}, {self.direction.name}, {self.message!r})"


@dataclass(frozen=True, slots=True, repr=False)
class StepRun:
    """How far one step of a saga is."""

    proto: saga_pb2.StepRun

    @property
    def step(self) -> str:
        """The name of the step."""
        return self.proto.step

    @property
    def state(self) -> StepState:
        """Where the step is."""
        return member(StepState, saga_pb2.StepRun.State, self.proto.state)

    @property
    def attempts(self) -> int:
        """Attempts of Try that ended, or the one under way."""
        return self.proto.attempts

    @property
    def compensation_attempts(self) -> int:
        """Attempts of Compensate likewise."""
        return self.proto.compensation_attempts

    @property
    def in_flight(self) -> bool:
        """Whether a call of this step is under way right now."""
        return self.proto.in_flight

    @property
    def next_attempt_time(self) -> datetime | None:
        """When the next call is due, for a step that waits between two."""
        return moment(self.proto.next_attempt_time) if self.proto.HasField("next_attempt_time") else None

    @property
    def last_failure(self) -> AttemptFailure | None:
        """How the last attempt failed; None while none did."""
        return AttemptFailure(self.proto.last_failure) if self.proto.HasField("last_failure") else None

    @property
    def rejection(self) -> Rejected | None:
        """Why the participant rejected the step; None if it did not."""
        if not self.proto.HasField("rejection"):
            return None
        rejection = self.proto.rejection
        return Rejected(rejection.reason, rejection.message, rejection.metadata)

    @overload
    def result(self, expected: type[T]) -> T: ...
    @overload
    def result(self, expected: Any = ...) -> Any: ...
    def result(self, expected: Any = Any) -> Any:
        """Returns the result of the Try as the expected type; without one, as whatever JSON says.

        Raises ``PayloadError`` if it has another type; where there is no result, that is None.
        """
        return unpack(self.proto.result, expected)

    def __repr__(self) -> str:
        return f"StepRun({self.step!r}, {self.state.name}, attempts={self.attempts})"


@dataclass(frozen=True, slots=True, repr=False)
class Saga:
    """One run of a definition, as it was when the coordinator answered."""

    proto: saga_pb2.Saga

    @property
    def id(self) -> str:
        """Identifies the saga."""
        return self.proto.id

    @property
    def definition(self) -> Definition:
        """The definition that the saga was started with, and keeps."""
        return Definition.from_proto(self.proto.definition)

    @property
    def state(self) -> SagaState:
        """Where the saga is."""
        return saga_state(self.proto.state)

    @property
    def completed(self) -> bool:
        """Whether every step succeeded."""
        return self.proto.state == saga_pb2.Saga.COMPLETED

    @property
    def steps(self) -> Mapping[str, StepRun]:
        """How far each step is, by name, in the order of the definition."""
        return {run.step: StepRun(run) for run in self.proto.steps}

    @property
    def turn_back(self) -> TurnBack | None:
        """Why the saga turned back; None while it has not."""
        return TurnBack(self.proto.turn_back) if self.proto.HasField("turn_back") else None

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that the saga was started with."""
        return self.proto.labels

    @property
    def create_time(self) -> datetime:
        """When the saga was accepted."""
        return moment(self.proto.create_time)

    @property
    def end_time(self) -> datetime | None:
        """When the saga completed or was compensated; None before."""
        return moment(self.proto.end_time) if self.proto.HasField("end_time") else None

    @property
    def deadline(self) -> datetime | None:
        """When the saga turns back by itself; None for never."""
        return moment(self.proto.deadline) if self.proto.HasField("deadline") else None

    @property
    def needs_attention(self) -> str:
        """Why an operator should look; empty where nobody is needed."""
        return self.proto.needs_attention

    @property
    def choreographed(self) -> bool:
        """Whether services carry it on by events, and the coordinator only follows it."""
        return self.proto.HasField("choreography")

    @property
    def cancel_requested(self) -> bool:
        """Whether a cancel was accepted whose effect waits for the outcome of the pivot."""
        return self.proto.cancel_requested

    @property
    def sequence(self) -> int:
        """How many events the saga has so far; ``watch(id, after=sequence)`` goes on from here."""
        return self.proto.sequence

    @overload
    def result(self, step: Step[Any, T]) -> T: ...
    @overload
    def result(self, step: str, expected: type[T]) -> T: ...
    @overload
    def result(self, step: str, expected: Any = ...) -> Any: ...
    def result(self, step: str | Step[Any, T], expected: Any = Any) -> Any:
        """Returns the result of a step as the expected type; without one, as whatever JSON says.

        A step that knows the type of its result may stand for its name and the type. Without a type, the
        response of a plain method is a dict too: by protobuf's JSON mapping, with names as in ``bookingId``.

        Raises ``KeyError`` if the saga has no such step, ``PayloadError`` if the result has another type;
        where there is no result, that is None.
        """
        if isinstance(step, Step):
            name, expected = step.name, step.result_type or Any
        else:
            name = step
        run = self.steps[name]
        if expected is Any and self.proto.definition.HasField("descriptors"):
            described = as_json(run.proto.result, self.proto.definition.descriptors)
            if described is not None:
                return described
        return run.result(expected)

    def __repr__(self) -> str:
        steps = ", ".join(f"{run.step} {run.state.name}" for run in self.steps.values())
        return f"Saga({self.id!r}, {self.proto.definition.name!r}, {self.state.name}: {steps})"


@dataclass(frozen=True, slots=True, repr=False)
class SagaSummary:
    """What a list shows of a saga."""

    proto: coordinator_pb2.SagaSummary

    @property
    def id(self) -> str:
        """Identifies the saga."""
        return self.proto.id

    @property
    def definition_name(self) -> str:
        """The name of its definition."""
        return self.proto.definition_name

    @property
    def state(self) -> SagaState:
        """Where the saga is."""
        return saga_state(self.proto.state)

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.proto.labels

    @property
    def create_time(self) -> datetime:
        """When it was accepted."""
        return moment(self.proto.create_time)

    @property
    def end_time(self) -> datetime | None:
        """When it ended; None before."""
        return moment(self.proto.end_time) if self.proto.HasField("end_time") else None

    @property
    def needs_attention(self) -> str:
        """Why an operator should look; empty where nobody is needed."""
        return self.proto.needs_attention

    def __repr__(self) -> str:
        return f"SagaSummary({self.id!r}, {self.definition_name!r}, {self.state.name})"
