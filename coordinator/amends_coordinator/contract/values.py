"""Small values: payloads, moments, durations, rejections."""

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf import any_pb2, duration_pb2, timestamp_pb2
from google.protobuf.message import Message

from amends.v1 import participant_pb2, saga_pb2
from amends_coordinator.core.values import Cause, Payload, Refusal, Rejection, TurnBack

M = TypeVar("M", bound=Message)


def payload_to_proto(payload: Payload) -> any_pb2.Any:
    """Wraps a payload."""
    return any_pb2.Any(type_url=payload.type_url, value=payload.value)


def payload_from_proto(message: any_pb2.Any) -> Payload:
    """Unwraps a payload."""
    return Payload(message.type_url, message.value)


def optional_payload(message: Message, field: str) -> Payload | None:
    """Unwraps the payload in a field, if the field is set."""
    return payload_from_proto(getattr(message, field)) if message.HasField(field) else None


def payloads_from_proto(messages: Mapping[str, any_pb2.Any]) -> dict[str, Payload]:
    """Unwraps the payloads of a map field."""
    return {key: payload_from_proto(message) for key, message in messages.items()}


def moment_to_proto(moment: float) -> timestamp_pb2.Timestamp:
    """Turns seconds since the epoch, whole microseconds, into a timestamp."""
    seconds, rest = divmod(round(moment * 1e6), 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=rest * 1000)


def moment_from_proto(message: timestamp_pb2.Timestamp) -> float:
    """Turns a timestamp into seconds since the epoch; the inverse of moment_to_proto, to the last bit."""
    return (message.seconds * 1_000_000 + message.nanos // 1000) / 1e6


def optional_moment(message: Message, field: str) -> float | None:
    """Turns the timestamp in a field into a moment, if the field is set."""
    return moment_from_proto(getattr(message, field)) if message.HasField(field) else None


def duration_to_proto(seconds: float) -> duration_pb2.Duration:
    """Turns seconds into a duration of whole microseconds."""
    message = duration_pb2.Duration()
    fill_duration(message, seconds)
    return message


def fill_duration(message: duration_pb2.Duration, seconds: float) -> None:
    """Writes seconds into a duration that is part of another message."""
    whole, rest = divmod(round(seconds * 1e6), 1_000_000)
    message.seconds, message.nanos = whole, rest * 1000


def duration_from_proto(message: duration_pb2.Duration) -> float:
    """Turns a duration into seconds, whole microseconds.

    A float cannot hold nanoseconds over months; what it cannot hold would change each time it is stored and
    read, and a repeated start would no longer be the same start.
    """
    return (message.seconds * 1_000_000 + message.nanos // 1000) / 1e6


def rejection_to_proto(rejection: Rejection) -> participant_pb2.Rejected:
    """Turns a rejection into its message."""
    return participant_pb2.Rejected(
        reason=rejection.reason, message=rejection.message, metadata=rejection.metadata
    )


def rejection_from_proto(message: participant_pb2.Rejected) -> Rejection:
    """Reads a rejection."""
    return Rejection(message.reason, message.message, dict(message.metadata))


def refusal_to_proto(refusal: Refusal) -> participant_pb2.CompensateResponse.Refused:
    """Turns a refusal into its message."""
    return participant_pb2.CompensateResponse.Refused(reason=refusal.reason, message=refusal.message)


def refusal_from_proto(message: participant_pb2.CompensateResponse.Refused) -> Refusal:
    """Reads a refusal."""
    return Refusal(message.reason, message.message)


def turn_back_to_proto(turn_back: TurnBack) -> saga_pb2.TurnBack:
    """Turns the reason of a turn into its message."""
    return saga_pb2.TurnBack(
        cause=saga_pb2.TurnBack.Cause.ValueType(turn_back.cause),
        step=turn_back.step,
        reason=turn_back.reason,
        message=turn_back.message,
        metadata=turn_back.metadata,
    )


def turn_back_from_proto(message: saga_pb2.TurnBack) -> TurnBack:
    """Reads the reason of a turn."""
    return TurnBack(
        Cause(message.cause), message.step, message.reason, message.message, dict(message.metadata)
    )
