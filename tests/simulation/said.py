"""What participants have said of their steps, held against what the log makes of it (P3)."""

import re
from collections import defaultdict

from google.protobuf import struct_pb2

from amends_coordinator.core import facts as f
from amends_coordinator.core.values import Direction, Payload
from tests.simulation import interface
from tests.simulation.messages import Asked
from tests.simulation.process import Process
from tests.simulation.record import Record

_USED = re.compile(r"\bresults\.(\w+)\.")


class Said:
    """Remembers which calls left and what was answered."""

    def __init__(self) -> None:
        """Begins with nothing said."""
        self.statuses_lie = (
            False  # whether something on the way may reject or refuse in a participant's place
        )
        self._outcomes: set[tuple[str, str, str]] = set()  # sagas, steps, and what was answered
        self._responses: defaultdict[tuple[str, str], set[bytes]] = defaultdict(set)  # of methods
        self._left: set[tuple[int, str, str, int]] = set()  # coordinators, sagas, steps, attempts of methods

    def call_left(self, process: Process, asked: Asked) -> None:
        """Notes a call."""
        if asked.direction is Direction.FORWARD:
            self._left.add((process.number, asked.saga_id, asked.step, asked.attempt))

    def answered(self, asked: Asked, outcome: str, response: bytes) -> None:
        """Notes an answer."""
        self._outcomes.add((asked.saga_id, asked.step, outcome))
        if asked.method is not None:
            self._responses[asked.saga_id, asked.step].add(response)

    def objection(self, kept: Record, process: Process, fact: f.Fact) -> str:
        """Why a fact must not follow in a log; empty if it may."""
        match fact:
            case f.StepSucceeded(step=step, result=result):
                return self._unsaid(kept, step, "succeeded") or self._other_response(kept, step, result)
            case f.StepCompensated(step=step, attempt=attempt) if attempt:
                return self._unsaid(kept, step, "compensated")
            case f.StepRejected(step=step, rejection=rejection, attempt=attempt):
                return self._not_done(kept, process, step, attempt, Direction.FORWARD, rejection.reason)
            case f.CompensationRefused(step=step, refusal=refusal, attempt=attempt):
                return self._not_done(kept, process, step, attempt, Direction.BACKWARD, refusal.reason)
            case f.AttemptPending(step=step, direction=Direction.FORWARD, attempt=attempt):
                # It is asked again under the same number, and may be withdrawn before that.
                self._left.discard((process.number, kept.saga.id, step, attempt))
        return ""

    def _unsaid(self, kept: Record, step: str, outcome: str) -> str:
        if (kept.saga.id, step, outcome) in self._outcomes:
            return ""
        return f"P3: {step} is recorded as {outcome}, and its participant has not said so"

    def _other_response(self, kept: Record, step: str, result: Payload | None) -> str:
        if kept.saga.step(kept.saga.definition.position[step]).try_method is None:
            return ""
        if result is not None and result.value in self._responses[kept.saga.id, step]:
            return ""
        return f"P3: {step} is recorded with a result that its method never gave"

    def _not_done(
        self, kept: Record, process: Process, step: str, attempt: int, direction: Direction, reason: str
    ) -> str:
        own = kept.saga.step(kept.saga.definition.position[step])
        method = own.method(direction)
        if own.try_method is not None and method is None and reason == "NOT_COMPENSATABLE":
            return ""  # nothing undoes it, and the definition says so
        if method is not None and reason == "WITHDRAWN":
            if (process.number, kept.saga.id, step, attempt) in self._left:
                return f"P3: {step} is recorded as never sent, and it was"
            return ""
        if method is not None and reason == "BINDING_FAILED":
            lacks = lacking(kept, step, direction)
            return "" if lacks else f"P3: no request of {step} could be made, and there is all that it needs"
        if self.statuses_lie:
            return ""
        return self._unsaid(kept, step, "rejected" if direction is Direction.FORWARD else "refused")


def lacking(kept: Record, step: str, direction: Direction) -> list[str]:
    """The results that the request of a call is made of and that the log does not have."""
    own = kept.saga.definition.position[step]
    method = kept.saga.step(own).method(direction)
    assert method is not None, "only of calls of methods"
    runs, position = kept.saga.runs, kept.saga.definition.position
    lacks = [name for name in _USED.findall(method.request) if runs[position[name]].result is None]
    if direction is Direction.FORWARD:
        return lacks
    words = method.request
    unguarded = "response." in words and "responded" not in words
    return [step] if unguarded and runs[own].result is None else []


def wrong_request(kept: Record, asked: Asked) -> str:
    """Why the request of a method is not what the log makes it; empty if it is."""
    saga, position = kept.saga, kept.saga.definition.position
    step = saga.step(position[asked.step])
    method = step.method(asked.direction)
    if method is None or method.method.partition("/")[0] != interface.SERVICE:
        return f"P7: {asked.step} calls a method that its definition does not name"
    result = saga.runs[position[asked.step]].result
    if asked.direction is Direction.BACKWARD:
        found = getattr(asked.method, "ticket", "")
        expected = _ticket(result) if result is not None and "response" in method.request else ""
    else:
        found = asked.method.after
        names = _USED.findall(method.request)
        expected = "".join(_word(kept, name) for name in names)
    if found == expected:
        return ""
    return f"P7: {asked.step} is called with {found!r}, and by the log that is {expected!r}"


def _word(kept: Record, step: str) -> str:
    """What later steps take from the result of a step."""
    place = kept.saga.definition.position[step]
    result = kept.saga.runs[place].result
    if result is None:
        return ""
    if kept.saga.step(place).try_method is not None:
        return _ticket(result)
    return str(struct_pb2.Struct.FromString(result.value)["by"])


def _ticket(result: Payload) -> str:
    return str(interface.kind("Deposit").FromString(result.value).ticket)
