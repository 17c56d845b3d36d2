"""Runs handlers, and turns whatever they do into a response or a fault."""

from __future__ import annotations

import logging
from typing import Any, Final

from google.protobuf import any_pb2

from amends import _payload
from amends._participant.call import COMPENSATED, Call, Response, Work
from amends._participant.context import BadInputError, Context
from amends._participant.tracing import within
from amends._transactions import faults
from amends._transactions.waiting import STOPS, TookTooLongError, wait_for_handler
from amends.errors import Answer, PayloadError, Pending, Refused, Rejected
from amends.v1 import participant_pb2 as pb

PAYLOAD_BYTES_MAX: Final = 1 << 20
"""The greatest payload, as the contract has it: what a saga's log can carry per step."""

_log = logging.getLogger("amends.participant")
_NOTHING: Final[dict[str, any_pb2.Any]] = {}


def invoke(call: Call, work: Work, db: object) -> Response:
    """Runs a plain handler.

    Raises:
        Fault: it failed; what it did must be undone.
        sqlite3.Error: the disk failed; the transaction must be given up.
    """
    try:
        with within(call.trace):
            value = work.handler.function(*work.payloads, _context_of(call, db))
        return _response_to_value(call, value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _response_to_error(call, error)


async def invoke_async(call: Call, work: Work, db: object, patience: float | None) -> Response:
    """Runs an async handler, for at most `patience` seconds. Raises like `invoke`."""
    try:
        with within(call.trace):
            value = await wait_for_handler(
                lambda: work.handler.function(*work.payloads, _context_of(call, db)), patience
            )
        return _response_to_value(call, value)
    except TookTooLongError as error:
        _log.warning("the handler took longer than it may", extra=call.log_fields())
        raise faults.deadline_passed() from error
    except STOPS:
        raise
    except BaseException as error:
        return _response_to_error(call, error)


def _context_of(call: Call, db: object) -> Context:
    """Makes what the handler is told."""
    request = call.request
    return Context(
        saga_id=call.key[0],
        step=call.key[1],
        attempt=request.attempt,
        action=request.action,
        definition=request.definition,
        results=request.results if isinstance(request, pb.TryRequest) else _NOTHING,
        db=db,
        deadline=call.deadline,
    )


def _response_to_value(call: Call, value: Any) -> Response:
    if not call.forward:
        if value is not None:
            raise PayloadError(f"a compensation returns nothing, not a {type(value).__name__}")
        return COMPENSATED
    _check_result(call.action.types.result, value)
    result = _payload.pack(value)
    _check_size(len(result.value))
    return pb.TryResponse(succeeded=pb.TryResponse.Succeeded(result=result))


def _check_result(expected: Any, value: Any) -> None:
    # Only classes: what is inside a container shows when it is packed, or when it is read.
    inner, optional = _payload.without_none(expected)
    if value is None and (optional or inner is Any):
        return
    if (
        isinstance(inner, type)
        and not isinstance(value, inner)
        and not (inner is float and type(value) is int)
    ):
        raise PayloadError(f"the handler returned a {type(value).__name__}, not a {inner.__name__}")


def _check_size(size: int) -> None:
    if size > PAYLOAD_BYTES_MAX:
        raise PayloadError(f"the answer takes {size} bytes, more than {PAYLOAD_BYTES_MAX}")


def _response_to_error(call: Call, error: BaseException) -> Response:
    """The answer to what a handler raised: an outcome, or a Fault, which is raised.

    A failure of the disk is raised as it is: it is no doing of the handler's, and ends the transaction.
    """
    if isinstance(error, Answer):
        try:
            return _response_to_answer(call, error)
        except Exception as misfit:  # such as a text that is no Unicode, or a wait of aeons
            error = misfit
    if faults.blames_store(error):
        raise error
    if isinstance(error, BadInputError):
        raise faults.invalid_input(str(error)) from error
    _log.error("the handler failed", exc_info=error, extra=call.log_fields())
    raise faults.handler_failed() from error


def _response_to_answer(call: Call, answer: Answer) -> Response:
    """Says an outcome in the words of the contract. Raises whatever it does not fit them by."""
    if isinstance(answer, Pending):
        return _pending(call, answer)
    if isinstance(answer, Rejected) and call.forward:
        rejected = pb.Rejected(reason=answer.reason, message=answer.message, metadata=answer.metadata)
        _check_size(rejected.ByteSize())
        return pb.TryResponse(rejected=rejected)
    if isinstance(answer, Refused) and not call.forward:
        refused = pb.CompensateResponse.Refused(reason=answer.reason, message=answer.message)
        _check_size(refused.ByteSize())
        return pb.CompensateResponse(refused=refused)
    raise answer


def _pending(call: Call, error: Pending) -> Response:
    pending = pb.Pending()
    pending.retry_after.FromNanoseconds(int(error.retry_after * 1e9))
    return pb.TryResponse(pending=pending) if call.forward else pb.CompensateResponse(pending=pending)
