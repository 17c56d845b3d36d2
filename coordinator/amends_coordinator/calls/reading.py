"""How an attempt's end is read: one table for every kind of call.

A code outside the table, a reply without an outcome, or one whose numbers nobody knows, is unknown: it may
have happened, and the fence makes asking again safe.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends_coordinator.contract.values import (
    duration_from_proto,
    payload_from_proto,
    refusal_from_proto,
    rejection_from_proto,
)
from amends_coordinator.core import limits
from amends_coordinator.core.definition import OutcomeKind, OutcomeRule
from amends_coordinator.core.outcomes import (
    Compensated,
    Outcome,
    Pending,
    Refused,
    Rejected,
    Succeeded,
    Unknown,
)
from amends_coordinator.core.values import Direction, Payload, Refusal, Rejection

Rules: TypeAlias = Sequence[OutcomeRule]
"""What a step says of how its attempts end."""

DEFINITE = frozenset(
    {
        Code.ABORTED,
        Code.FAILED_PRECONDITION,
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.OUT_OF_RANGE,
        Code.PERMISSION_DENIED,
        Code.UNAUTHENTICATED,
        Code.UNIMPLEMENTED,
    }
)
"""Codes that say for certain that the call had no effect. All others leave it unknown."""

MAX_PAYLOAD = 1 << 20
"""Bytes of a result: larger ones belong in a store of their own, with a reference in the saga."""

MAX_TYPE_URL = 512
"""Characters of a result's type, as many as an input's may have: it goes where the result goes."""

MAX_REASON = 63
"""Characters kept of a participant's reason: as many as google.rpc.ErrorInfo allows."""

MAX_WORDS = 1_024
"""Characters kept of a participant's message: it is stored in every log that it fails."""

MAX_METADATA = 64
"""Entries kept of a rejection's metadata, as many as a saga has labels."""

MIN_PENDING = 0.05
"""Seconds before a pending step is asked again at the least: every time is a call and a commit, and a slip of
units must not keep the coordinator busy with one saga. Nothing that is pending needs more."""

MAX_RETRY_AFTER = 86_400.0
"""Seconds that a participant may ask to be left alone; a day, so that a slip of units cannot bury a saga."""


def read_try(response: pb.TryResponse | None) -> Outcome:
    """Reads the response of a Try; None is how grpc.aio hands over what it cannot decode."""
    if response is None:
        return broken("bytes that are no TryResponse")
    which = response.WhichOneof("outcome")
    if which == "succeeded":
        succeeded = response.succeeded
        if not succeeded.HasField("result"):
            return Succeeded(None)
        if len(succeeded.result.type_url) > MAX_TYPE_URL:
            length = len(succeeded.result.type_url)
            return broken(f"a result whose type has {length} characters; the limit is {MAX_TYPE_URL}")
        if len(succeeded.result.value) > MAX_PAYLOAD:
            return broken(f"a result of {len(succeeded.result.value)} bytes; the limit is {MAX_PAYLOAD}")
        return Succeeded(payload_from_proto(succeeded.result))
    if which == "rejected":
        rejection = rejection_from_proto(response.rejected)
        reason = rejection.reason or "UNSPECIFIED"
        return Rejected(
            Rejection(reason[:MAX_REASON], rejection.message[:MAX_WORDS], _bounded(rejection.metadata))
        )
    if which == "pending":
        return _read_pending(response.pending)
    return broken("a TryResponse without an outcome that this version knows")


def read_compensate(response: pb.CompensateResponse | None) -> Outcome:
    """Reads the response of a Compensate; None is how grpc.aio hands over what it cannot decode."""
    if response is None:
        return broken("bytes that are no CompensateResponse")
    which = response.WhichOneof("outcome")
    if which == "compensated":
        return Compensated()
    if which == "pending":
        return _read_pending(response.pending)
    if which == "refused":
        refusal = refusal_from_proto(response.refused)
        return Refused(Refusal(refusal.reason[:MAX_REASON] or "UNSPECIFIED", refusal.message[:MAX_WORDS]))
    return broken("a CompensateResponse without an outcome that this version knows")


def read_reply(direction: Direction, reply: pb.ExchangeResponse.Reply, rules: Rules = ()) -> Outcome:
    """Reads a reply of an exchange."""
    which = reply.WhichOneof("result")
    if which == "error":
        return read_status(direction, reply.error, rules)
    if which == "try_response" and direction is Direction.FORWARD:
        return read_try(reply.try_response)
    if which == "compensate_response" and direction is Direction.BACKWARD:
        return read_compensate(reply.compensate_response)
    return broken(f"a reply with {which or 'nothing'} in it")


def read_status(direction: Direction, status: status_pb2.Status, rules: Rules = ()) -> Outcome:
    """Reads a status that an RPC ended with. OK does not belong here: an outcome was promised.

    Args:
        direction: of the call.
        status: what it ended with.
        rules: what its step says of that; the first that fits decides before the table.
    """
    if status.code == Code.OK:
        return broken("OK, and nothing else")
    info, retry_after = _read_details(status.details)
    message = status.message[:MAX_WORDS]
    definite = OutcomeKind.REJECTED if status.code in DEFINITE else OutcomeKind.UNKNOWN
    ruled = next((rule.outcome for rule in rules if rule.code == status.code), None)
    kind = definite if ruled is None else ruled
    if kind is OutcomeKind.UNKNOWN:
        return Unknown(status.code, message or code_name(status.code), retry_after)
    if kind is OutcomeKind.PENDING:
        return Pending(max(retry_after, MIN_PENDING) if retry_after > 0 else limits.DEFAULT_PENDING)
    if kind is OutcomeKind.SUCCEEDED:
        return done(direction, None)
    reason = info.reason[:MAX_REASON] if info is not None and info.reason else code_name(status.code)
    if direction is Direction.BACKWARD:
        return Refused(Refusal(reason, message))
    return Rejected(
        Rejection(reason, message, _bounded(info.metadata) if info is not None else {}),
        # A status may come from anything on the way; one that a rule is for is the service's own word.
        stated=ruled is not None,
    )


def read_response(direction: Direction, result: Payload, rule: OutcomeRule | None) -> Outcome:
    """Reads the response of a method that knows nothing of Amends, by the rule that it fits, if any."""
    if rule is None or rule.outcome is OutcomeKind.SUCCEEDED:
        if direction is Direction.FORWARD and len(result.value) > MAX_PAYLOAD:
            return broken(f"a response of {len(result.value)} bytes; the limit is {MAX_PAYLOAD}")
        return done(direction, result)
    said = f"its response fits the condition {rule.condition}"[:MAX_WORDS]
    if rule.outcome is OutcomeKind.UNKNOWN:
        return Unknown(Code.UNKNOWN, said)
    if rule.outcome is OutcomeKind.PENDING:
        return Pending(limits.DEFAULT_PENDING)
    return not_done(direction, rule.reason or "REJECTED_BY_RESPONSE", said)


def done(direction: Direction, result: Payload | None) -> Outcome:
    """What a call came to that did what it should."""
    return Succeeded(result) if direction is Direction.FORWARD else Compensated()


def not_done(direction: Direction, reason: str, message: str, *, stated: bool = True) -> Outcome:
    """What a call came to that for certain did nothing, and never will.

    ``stated`` says whether that is the service's own word. Of a call that never left it is not, and clears no
    pivot of which an earlier attempt is in doubt.
    """
    if direction is Direction.FORWARD:
        return Rejected(Rejection(reason, message[:MAX_WORDS]), stated=stated)
    return Refused(Refusal(reason, message[:MAX_WORDS]))


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Turns the error of an RPC into its status, with the details that rich errors carry.

    Where those name another code, something on the way has failed the call for a reason of its own: the code
    of the RPC holds, and they do not belong to it.
    """
    code = error.code().value[0]
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                rich = status_pb2.Status.FromString(value)
            except DecodeError:
                break
            if rich.code == code:
                return rich
    return status_pb2.Status(code=code, message=error.details() or "")


def too_large(direction: Direction, size: int) -> Outcome:
    """What comes of a call that is too large for a message, and so never leaves."""
    message = f"the call would take {size} bytes, more than a message can carry"
    return not_done(direction, "CALL_TOO_LARGE", message, stated=False)


def _bounded(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a rejection, as much of it as the log keeps."""
    return {key[:MAX_WORDS]: value[:MAX_WORDS] for key, value in islice(metadata.items(), MAX_METADATA)}


def _read_pending(pending: pb.Pending) -> Pending:
    wait = duration_from_proto(pending.retry_after) if pending.HasField("retry_after") else 0.0
    return Pending(min(max(wait, MIN_PENDING), MAX_RETRY_AFTER) if wait > 0 else limits.DEFAULT_PENDING)


def _read_details(
    details: Iterable[any_pb2.Any],
) -> tuple[error_details_pb2.ErrorInfo | None, float]:
    info, retry_after = None, 0.0
    for detail in details:
        try:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo.FromString(detail.value)
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                retry_after = min(max(duration_from_proto(delay), 0.0), MAX_RETRY_AFTER)
        except DecodeError:
            continue  # the code says what matters; rubbish beside it is passed over
    return info, retry_after


def code_name(code: int) -> str:
    """Names a status code."""
    return Code.Name(code) if code in Code.values() else f"CODE_{code}"


def broken(what: str) -> Unknown:
    """What comes of an answer that is none."""
    return Unknown(Code.DATA_LOSS, f"the participant answered with {what}")
