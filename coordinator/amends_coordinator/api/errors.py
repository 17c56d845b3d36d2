"""Domain errors as statuses: one table, and one place where an RPC fails."""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code
from grpc_status import rpc_status

from amends_coordinator.contract.values import duration_to_proto
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.runtime import errors
from amends_coordinator.store.interface import StoreUnavailableError

log = logging.getLogger(__name__)

DOMAIN = "amends"
"""The domain of every ErrorInfo (AIP-193)."""

MAX_TOLD = 1_000
"""Bytes of an error's message. An error travels in the trailers of a response, of which gRPC takes 8 KiB by
default; the message is there twice, once with three characters for every byte that is not ASCII."""

MAX_FAULTS = 2_500
"""Bytes of all field violations of an error, for the same reason: they are encoded in base64, and the whole
has to fit."""

MAX_FAULT = 500
"""Bytes of one field violation, so that several fit."""

_CODES: dict[type[errors.RequestError], int] = {
    errors.InvalidRequestError: Code.INVALID_ARGUMENT,
    errors.NotFoundError: Code.NOT_FOUND,
    errors.AlreadyExistsError: Code.ALREADY_EXISTS,
    errors.NotAllowedError: Code.FAILED_PRECONDITION,
    errors.OverloadedError: Code.RESOURCE_EXHAUSTED,
    errors.UnavailableError: Code.UNAVAILABLE,
    errors.LostError: Code.UNAVAILABLE,
}

T = TypeVar("T")


def to_status(error: BaseException) -> status_pb2.Status:
    """Turns an error into a status with its details. What nobody foresaw becomes INTERNAL, and is logged."""
    if isinstance(error, StoreUnavailableError):
        error = errors.UnavailableError("STORE_UNAVAILABLE", f"the store is unavailable: {error}")
    elif isinstance(error, BrokenLogError):
        return _status(Code.DATA_LOSS, str(error), "BROKEN_LOG")
    if not isinstance(error, errors.RequestError):
        log.error("an RPC failed unexpectedly", exc_info=error, extra={"action": "internal_error"})
        return _status(Code.INTERNAL, "the coordinator failed; its log says how", "INTERNAL")
    status = _status(_CODES[type(error)], str(error), error.reason)
    if isinstance(error, errors.InvalidRequestError):
        _attach(status, _bad_request(error))
    if isinstance(error, errors.OverloadedError):
        _attach(status, error_details_pb2.RetryInfo(retry_delay=duration_to_proto(error.retry_after)))
    return status


def _bad_request(error: errors.InvalidRequestError) -> error_details_pb2.BadRequest:
    """Tells the faults of a request; of very many, as many as arrive."""
    bad = error_details_pb2.BadRequest()
    for number, each in enumerate(error.violations):
        field = _shortened(each.field, MAX_FAULT // 2)
        description = _shortened(each.description, MAX_FAULT // 2)
        if bad.ByteSize() + len(field.encode()) + len(description.encode()) > MAX_FAULTS:
            left = len(error.violations) - number
            bad.field_violations.add(field=field, description=f"is wrong too, as are {left - 1} more")
            break
        bad.field_violations.add(field=field, description=description)
    return bad


def _shortened(text: str, size: int) -> str:
    """Cuts a text to so many bytes of UTF-8."""
    data = text.encode()
    return text if len(data) <= size else data[: size - 3].decode(errors="ignore") + "…"


def _status(code: int, message: str, reason: str) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=_shortened(message, MAX_TOLD))
    _attach(status, error_details_pb2.ErrorInfo(domain=DOMAIN, reason=reason))
    return status


def _attach(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", error: BaseException) -> NoReturn:
    """Fails an RPC with the status of an error."""
    await context.abort_with_status(rpc_status.to_status(to_status(error)))


def answering(
    method: Callable[[Any, Any, Any], Awaitable[T]],
) -> Callable[[Any, Any, "grpc.aio.ServicerContext[Any, Any]"], Awaitable[T]]:
    """Makes a unary method fail with the status of whatever it raises."""

    @wraps(method)
    async def wrapped(self: Any, request: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> T:
        try:
            return await method(self, request, context)
        except Exception as error:  # to_status tells the foreseen from the unforeseen
            await abort(context, error)

    return wrapped
