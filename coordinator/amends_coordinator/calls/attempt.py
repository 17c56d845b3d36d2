"""One call of a step, and the messages that carry it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends_coordinator.core.definition import Step
from amends_coordinator.core.outcomes import Outcome, Rejected, Unknown
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction, Rejection
from amends_coordinator.timers import Timer

MAX_REQUEST = (4 << 20) - 2048
"""Bytes of a call: what any gRPC server takes by default, less the envelope of an Exchange message."""

WITHDRAWN = Unknown(Code.CANCELLED, "withdrawn before it was sent")
"""What an attempt comes to that has not left and need not any more. A Compensate that would not have been
needed is safe with a fence."""

NOT_SENT = Rejected(Rejection("WITHDRAWN", "the saga turned back before it was sent"), stated=False)
"""What it comes to where a method of a service without a fence would have been called."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One call of a step's Try or Compensate. Its messages are made when it is sent, not while it waits."""

    saga: Saga
    place: int
    direction: Direction
    number: int
    end: Callable[["Attempt", Outcome], None]  # told exactly once what the call came to
    sent: bool = False
    ended: bool = False
    started: float = 0.0  # moment of sending
    stream_number: int = 0  # of the call on its Exchange stream
    timer: Timer | None = field(default=None, repr=False)
    span: Any = field(default=None, repr=False)

    @property
    def step(self) -> Step:
        """The definition of the step."""
        return self.saga.step(self.place)

    @property
    def by_method(self) -> bool:
        """Whether it calls a method of a service that knows nothing of Amends."""
        return self.step.try_method is not None

    @property
    def needless(self) -> bool:
        """Whether it is a Try whose saga has turned back: if it has not left yet, it need not any more."""
        return self.direction is Direction.FORWARD and self.saga.turn_back is not None

    def withdraw(self) -> None:
        """Ends an attempt that has not left."""
        self.finish(NOT_SENT if self.by_method else WITHDRAWN)

    def finish(self, outcome: Outcome) -> None:
        """Tells what the call came to; only the first word counts."""
        if self.ended:
            return
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.end(self, outcome)


def fill_try(request: pb.TryRequest, attempt: Attempt) -> None:
    """Fills in the message of a Try."""
    _fill_common(request, attempt)
    saga, place = attempt.saga, attempt.place
    for needed in saga.definition.needs[place]:
        result = saga.runs[needed].result
        if result is not None:
            into = request.results[saga.step(needed).name]
            into.type_url, into.value = result


def fill_compensate(request: pb.CompensateRequest, attempt: Attempt) -> None:
    """Fills in the message of a Compensate."""
    _fill_common(request, attempt)
    result = attempt.saga.runs[attempt.place].result
    if result is not None:
        request.result.type_url, request.result.value = result


def _fill_common(request: pb.TryRequest | pb.CompensateRequest, attempt: Attempt) -> None:
    saga, step = attempt.saga, attempt.step
    request.saga_id = saga.id
    request.step = step.name
    request.attempt = attempt.number
    request.action = step.action
    request.definition = saga.definition.name
    payload = saga.step_input(attempt.place)
    if payload is not None:
        request.input.type_url, request.input.value = payload
