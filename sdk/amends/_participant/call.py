"""One call, from its arrival to its answer: three phases that every kind of handler shares.

`prepare` asks the fence what is to be done and, where a handler must run, gathers its arguments; `invoke`
or `invoke_async` (see `invocation`) runs it and turns whatever it does into a response; `conclude` writes
the row that remembers it. A plain handler goes through all three in one go, an async one waits in the
middle, and an external one has a commit between them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from opentelemetry.context import Context as TraceContext

from amends._fence import Deed, Ledger, Row, State, decide_compensate, decide_try
from amends._participant.action import Action
from amends._participant.signature import Handler
from amends._payload import digest
from amends._transactions import faults
from amends.errors import Fault, PayloadError
from amends.v1 import participant_pb2 as pb

Request: TypeAlias = pb.TryRequest | pb.CompensateRequest
Response: TypeAlias = pb.TryResponse | pb.CompensateResponse

_log = logging.getLogger("amends.participant")
COMPENSATED: Final = pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated())


class Call:
    """A Try or a Compensate under way.

    Attributes:
        request: what was asked.
        action: what it is about.
        key: the saga's id and the step, which is what the fence knows it by.
        forward: whether it is a Try.
        deadline: when the caller stops waiting, on the monotonic clock; None if never.
        trace: the trace context that the handler runs in; None where nothing is traced.
        on_answer: called with the answer, once, in the event loop.
        answer: what came of it; set before `on_answer` is called.
    """

    __slots__ = ("action", "answer", "deadline", "forward", "key", "on_answer", "request", "trace")

    def __init__(
        self,
        request: Request,
        action: Action[Any, Any],
        *,
        deadline: float | None,
        on_answer: Callable[[Response | Fault], None],
        trace: TraceContext | None = None,
    ) -> None:
        self.request = request
        self.action = action
        self.key = (request.saga_id, request.step)
        self.forward = isinstance(request, pb.TryRequest)
        self.deadline = deadline
        self.on_answer = on_answer
        self.trace = trace
        self.answer: Response | Fault | None = None

    @property
    def handler(self) -> Handler | None:
        """What would have to run; None for a Compensate of an action that has no compensation."""
        return self.action.handler if self.forward else self.action.compensation

    def give_up(self, ledger: Ledger) -> Fault:
        """Nothing is left to do: the caller is told, and asks again."""
        return faults.transaction_lost()

    def log_fields(self) -> dict[str, object]:
        """The saga's context for a log record. Never the payload."""
        return {
            "saga_id": self.key[0],
            "step": self.key[1],
            "action": self.action.name,
            "direction": "forward" if self.forward else "backward",
            "attempt": self.request.attempt,
        }


class Work(NamedTuple):
    """A handler that has to run, with its arguments."""

    handler: Handler
    payloads: tuple[Any, ...]
    input_hash: bytes
    row: Row | None
    """The row that `prepare` found."""


def prepare(ledger: Ledger, call: Call) -> Work | Response:
    """Asks the fence what a call means; returns the answer, or what has to run first.

    Raises:
        Fault: the call fails.
    """
    if call.deadline is not None and call.deadline <= time.monotonic():
        raise faults.deadline_passed()
    return _prepare_try(ledger, call) if call.forward else _prepare_compensate(ledger, call)


def _prepare_try(ledger: Ledger, call: Call) -> Work | Response:
    input_hash = digest(call.request.input)
    row = ledger.get(call.key)
    deed = decide_try(row, call.action.name, input_hash)
    if deed is Deed.RUN:
        return Work(call.action.handler, (_decoded_input(call),), input_hash, row)
    if deed is Deed.REPEAT and row is not None:
        return pb.TryResponse.FromString(row.answer)
    if deed is Deed.REFUSE_LATE:
        rejected = pb.Rejected(reason="ALREADY_COMPENSATED", message="the step was compensated before")
        return pb.TryResponse(rejected=rejected)
    raise faults.key_reused(*call.key)


def _prepare_compensate(ledger: Ledger, call: Call) -> Work | Response:
    row = ledger.get(call.key)
    has_result = isinstance(call.request, pb.CompensateRequest) and call.request.HasField("result")
    deed = decide_compensate(row, call.action.name, has_result=has_result)
    if deed is Deed.UNDO and row is not None:
        return _prepare_undo(call, row)
    if deed is Deed.BURY:
        ledger.put(call.key, Row(State.TOMBSTONE, call.action.name, b"", b""))
    if deed is Deed.REFUSE_LOST:
        _log.error("the fence has forgotten a step that is to be compensated", extra=call.log_fields())
        return _refused("FENCE_LOST", "the step took effect, and its fence has forgotten it")
    if deed is Deed.REFUSE_REUSE:
        raise faults.key_reused(*call.key)
    return COMPENSATED


def _prepare_undo(call: Call, row: Row) -> Work | Response:
    if call.action.compensation is None:
        return _refused("NOT_COMPENSATABLE", f"action {call.action.name!r} has no compensation")
    payloads = (_decoded_input(call), _stored_result(call, row))
    return Work(call.action.compensation, payloads, row.input_hash, row)


def _refused(reason: str, message: str) -> Response:
    return pb.CompensateResponse(refused=pb.CompensateResponse.Refused(reason=reason, message=message))


def _decoded_input(call: Call) -> Any:
    try:
        return call.action.decode_input(call.request.input)
    except PayloadError as error:
        raise faults.invalid_input(str(error)) from error


def _stored_result(call: Call, row: Row) -> Any:
    if row.state is State.INTENDED:
        return None
    try:
        return call.action.decode_result(pb.TryResponse.FromString(row.answer).succeeded.result)
    except PayloadError as error:
        # The action's type has changed since: neither a retry nor the caller can mend that.
        _log.error("the stored result does not fit the action: %s", error, extra=call.log_fields())
        raise faults.handler_failed() from error


def conclude(ledger: Ledger, call: Call, work: Work, response: Response) -> None:
    """Writes what has become of the step, where that is to be remembered."""
    outcome = response.WhichOneof("outcome")
    name = call.action.name
    if outcome == "succeeded":
        row = Row(State.TRIED, name, work.input_hash, response.SerializeToString())
    elif outcome == "rejected":
        # An intent of an earlier attempt stays: what that one did, this rejection does not tell.
        state = State.REJECTED if work.row is None else State.INTENDED
        row = Row(state, name, work.input_hash, response.SerializeToString())
    elif outcome == "compensated" and work.row is not None:
        row = work.row._replace(state=State.COMPENSATED)
    else:
        return
    ledger.put(call.key, row)


def has_effect(response: Response) -> bool:
    """Tells whether what the handler did is to be kept."""
    return response.WhichOneof("outcome") in ("succeeded", "compensated")
