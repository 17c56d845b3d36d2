"""What a call of a participant came to, in Python's words."""

from dataclasses import dataclass
from typing import Any, TypeVar, overload

from google.protobuf.duration_pb2 import Duration

from amends._payload import unpack
from amends.errors import Pending, Refused, Rejected
from amends.v1 import participant_pb2

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class TryOutcome:
    """What a Try came to: it succeeded, was rejected, or is pending."""

    proto: participant_pb2.TryResponse
    """The participant's answer."""

    @property
    def succeeded(self) -> bool:
        """Whether the effect is applied."""
        return self.proto.HasField("succeeded")

    @property
    def rejected(self) -> Rejected | None:
        """Why the participant will not do this; None if it was not rejected."""
        if not self.proto.HasField("rejected"):
            return None
        rejected = self.proto.rejected
        return Rejected(rejected.reason, rejected.message, rejected.metadata)

    @property
    def pending(self) -> Pending | None:
        """That it is not decided yet; None if it is."""
        return _pending(self.proto.pending.retry_after) if self.proto.HasField("pending") else None

    @overload
    def result(self, expected: type[T]) -> T: ...
    @overload
    def result(self, expected: Any = ...) -> Any: ...
    def result(self, expected: Any = Any) -> Any:
        """Returns the result as the expected type; without one, as whatever JSON says.

        Raises what made the outcome another than success: ``Rejected`` or ``Pending``. Raises
        ``PayloadError`` if the result has another type.
        """
        hindrance = self.rejected or self.pending
        if hindrance is not None:
            raise hindrance
        return unpack(self.proto.succeeded.result, expected)

    def __repr__(self) -> str:
        return f"TryOutcome({self.rejected or self.pending or 'succeeded'})"


@dataclass(frozen=True, slots=True, repr=False)
class CompensateOutcome:
    """What a Compensate came to: it is compensated, was refused, or is pending."""

    proto: participant_pb2.CompensateResponse
    """The participant's answer."""

    @property
    def compensated(self) -> bool:
        """Whether there is no effect any more."""
        return self.proto.HasField("compensated")

    @property
    def refused(self) -> Refused | None:
        """Why the effect cannot be undone; None if it was not refused."""
        if not self.proto.HasField("refused"):
            return None
        return Refused(self.proto.refused.reason, self.proto.refused.message)

    @property
    def pending(self) -> Pending | None:
        """That it is not decided yet; None if it is."""
        return _pending(self.proto.pending.retry_after) if self.proto.HasField("pending") else None

    def __repr__(self) -> str:
        return f"CompensateOutcome({self.refused or self.pending or 'compensated'})"


def _pending(retry_after: Duration) -> Pending:
    seconds = retry_after.ToNanoseconds() / 1_000_000_000
    return Pending(seconds) if seconds > 0 else Pending()
