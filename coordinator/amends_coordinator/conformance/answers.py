"""What a participant answered to one call, read as a coordinator reads it, whichever way it came."""

from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf import any_pb2, duration_pb2, struct_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.reading import DEFINITE, code_name, status_of

Request = pb.TryRequest | pb.CompensateRequest
Response = pb.TryResponse | pb.CompensateResponse

WORDS_MAX: Final = 200
"""Characters of a participant's words that a result repeats: enough to find them in its code."""

_JSON: Final[dict[str, type[Message]]] = {
    kind.DESCRIPTOR.full_name: kind for kind in (struct_pb2.Struct, struct_pb2.Value, struct_pb2.ListValue)
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: a response of the RPC, or a status that is not OK."""

    call: str
    """Try or Compensate."""
    response: Response | None = None
    """The response; None where the call ended with a status."""
    code: int = Code.OK
    """The status code, of google.rpc.Code."""
    words: str = ""
    """The message of the status."""
    reason: str = ""
    """The reason for programs: of a rejection, a refusal, or the ErrorInfo of a status."""
    retry_after: float = 0.0
    """The seconds after which the participant wants to be asked again; 0 where it does not say."""
    is_broken: bool = False
    """Whether it is nothing that the contract knows; a coordinator reads it as unknown."""
    flaw: str = ""
    """What is wrong with the details of the status; empty where nothing is."""

    @property
    def outcome(self) -> str:
        """The outcome in the response, as the contract names it; empty where there is none."""
        return "" if self.response is None else self.response.WhichOneof("outcome") or ""

    @property
    def is_definite(self) -> bool:
        """Whether it is a status that says for certain that nothing happened."""
        return self.response is None and self.code in DEFINITE

    @property
    def is_unknown(self) -> bool:
        """Whether it is a status that leaves open what happened, so that the call has to be repeated."""
        return self.response is None and self.code not in DEFINITE and not self.is_broken

    @property
    def result(self) -> any_pb2.Any | None:
        """The result of a Try that succeeded; None where there is none."""
        if isinstance(self.response, pb.TryResponse) and self.response.succeeded.HasField("result"):
            return self.response.succeeded.result
        return None

    def is_like(self, other: "Answer") -> bool:
        """Tells whether two answers say the same. Of statuses, the code counts, and not the words."""
        return (self.code, _comparable(self.response)) == (other.code, _comparable(other.response))

    def __str__(self) -> str:
        reason = f" {self.reason}" if self.reason else ""
        if self.response is not None:
            return f"{self.outcome}{reason}" if self.outcome else "a response without an outcome"
        words = " ".join(self.words.split())[:WORDS_MAX]
        return f"{code_name(self.code)}{reason}" + (f": {words}" if words else "")


def from_response(call: str, response: Response | None) -> Answer:
    """Reads a response; None is how grpc.aio hands over what it cannot decode."""
    if response is None:
        return _broken(call, "bytes that are no response of this RPC")
    reason, retry_after = "", 0.0
    which = response.WhichOneof("outcome")
    if which in ("rejected", "refused"):
        reason = getattr(response, which).reason
    elif which == "pending":
        retry_after = _seconds(response.pending.retry_after)
    return Answer(call=call, response=response, reason=reason, retry_after=retry_after)


def from_error(call: str, error: grpc.aio.AioRpcError) -> Answer:
    """Reads the error that a unary RPC ended with."""
    flaw = ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            flaw = _flaw_of(value, error.code())
    return _from_status(call, status_of(error), flaw)


def from_reply(call: str, reply: pb.ExchangeResponse.Reply) -> Answer:
    """Reads a reply of an exchange."""
    which = reply.WhichOneof("result")
    if which == "error" and reply.error.code != Code.OK:
        return _from_status(call, reply.error, "")
    expected = "try_response" if call == "Try" else "compensate_response"
    if which != expected:
        return _broken(call, f"a reply with {which or 'nothing'} in it")
    return from_response(call, getattr(reply, expected))


def _broken(call: str, what: str) -> Answer:
    return Answer(call=call, code=Code.DATA_LOSS, words=what, is_broken=True)


def _from_status(call: str, status: status_pb2.Status, flaw: str) -> Answer:
    reason, retry_after = "", 0.0
    for detail in status.details:
        try:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                reason = error_details_pb2.ErrorInfo.FromString(detail.value).reason
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                retry_after = _seconds(delay)
                if retry_after < 0:
                    flaw = flaw or f"a RetryInfo of {retry_after:g} s"
        except DecodeError:
            flaw = flaw or f"a detail that says it is {detail.TypeName()}, and cannot be parsed as one"
    return Answer(
        call=call,
        code=status.code,
        words=status.message,
        reason=reason,
        retry_after=max(retry_after, 0.0),
        flaw=flaw,
    )


def _flaw_of(details: Any, code: grpc.StatusCode) -> str:
    """What is wrong with grpc-status-details-bin beside a code; a coordinator passes such details over."""
    try:
        rich = status_pb2.Status.FromString(details)
    except DecodeError:
        return "grpc-status-details-bin is no google.rpc.Status"
    number: int = code.value[0]
    return "" if rich.code == number else f"{code.name} came with details of {code_name(rich.code)}"


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _comparable(response: Response | None) -> object:
    """A response as a value of which equal ones say the same.

    The fields of JSON objects come in no order, and a participant that writes them anew need not keep it.
    """
    if not isinstance(response, pb.TryResponse) or not response.succeeded.HasField("result"):
        return response
    result = response.succeeded.result
    name = result.TypeName()
    try:
        return name, _JSON[name].FromString(result.value) if name in _JSON else result.value
    except DecodeError:
        return name, result.value
