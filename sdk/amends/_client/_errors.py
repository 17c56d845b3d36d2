"""Where the status of a failed call becomes an exception, and nowhere else."""

from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from amends import errors

M = TypeVar("M", bound=Message)

_CODES = {code.value[0]: code for code in grpc.StatusCode}

_REQUEST_ERRORS: dict[grpc.StatusCode, type[errors.RequestError]] = {
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.PERMISSION_DENIED: errors.AccessDenied,
    grpc.StatusCode.UNAUTHENTICATED: errors.AccessDenied,
}


# What gRPC says, with the status INTERNAL, of a stream that broke while it was written to.
_BROKEN_WRITE = "Internal error from Core"


def from_call(error: grpc.aio.AioRpcError, target: str) -> errors.CallError:
    """Returns what to raise for a failed call; ``target`` is the address it went to."""
    try:
        details = rpc_status.from_call(error)  # type: ignore[arg-type] # it has what a call has
    except (ValueError, DecodeError):  # details that contradict the status are no details
        details = None
    code, text = error.code(), error.details() or ""
    if text == _BROKEN_WRITE:
        code = grpc.StatusCode.UNAVAILABLE
    if details is None:
        text = _explain(code, text, target)
    failure = _translate(code, text, details or status_pb2.Status())
    failure.__cause__ = error  # it is raised later, when the client has lost its patience
    return failure


def of_start(error: errors.TransientError, saga_id: str) -> errors.TransientError:
    """Returns the same failure, with the id under which the saga may have started."""
    failure = type(error)(
        error.message,
        reason=error.reason,
        metadata={**error.metadata, "saga_id": saga_id},
        retry_after=error.retry_after,
    )
    failure.add_note(f"Saga {saga_id} may have started; starting it again under this id is safe.")
    return failure


def from_status(status: status_pb2.Status) -> errors.CallError:
    """Returns what to raise for a failure that came as a message."""
    return _translate(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status)


def _translate(code: grpc.StatusCode, text: str, details: status_pb2.Status) -> errors.CallError:
    info = _detail(details, error_details_pb2.ErrorInfo())
    retry = _detail(details, error_details_pb2.RetryInfo())
    wait = retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None
    reason, metadata = info.reason, dict(info.metadata)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return _invalid(text, reason, metadata, details)
    if code in _REQUEST_ERRORS:
        return _REQUEST_ERRORS[code](text, reason=reason, metadata=metadata)
    if code is grpc.StatusCode.UNAVAILABLE:
        return errors.Unavailable(text, reason=reason, metadata=metadata, retry_after=wait)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineExceeded(text, reason=reason, metadata=metadata, retry_after=wait)
    # Without a RetryInfo it is gRPC that speaks, of a message that is too large, and always will be.
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and wait is not None:
        return errors.Overloaded(text, reason=reason, metadata=metadata, retry_after=wait)
    # A coordinator that stops without waiting for its calls has them end so.
    if code is grpc.StatusCode.CANCELLED:
        return errors.Unavailable(text, reason=reason, metadata=metadata)
    return errors.CallError(f"{code.name}: {text}", reason=reason, metadata=metadata)


def _invalid(
    text: str, reason: str, metadata: dict[str, str], details: status_pb2.Status
) -> errors.InvalidArgument:
    request = _detail(details, error_details_pb2.BadRequest())
    violations = [
        errors.FieldViolation(field=violation.field, description=violation.description)
        for violation in request.field_violations
    ]
    told = "".join(f"\n  {bad.field}: {bad.description}" for bad in violations if bad.description not in text)
    return errors.InvalidArgument(text + told, reason=reason, metadata=metadata, violations=violations)


def _detail(details: status_pb2.Status, message: M) -> M:
    for detail in details.details:
        if detail.Is(message.DESCRIPTOR):
            detail.Unpack(message)
            break
    return message


def _explain(code: grpc.StatusCode, text: str, target: str) -> str:
    """Says what gRPC means where the coordinator itself said nothing."""
    if "Connection refused" in text:
        return (
            f"nobody listens at {target}: is the coordinator running? Start it with `amends serve`, "
            "or give its address"
        )
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"the coordinator at {target} cannot be reached: {text}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the coordinator at {target} did not answer in time"
    return text
