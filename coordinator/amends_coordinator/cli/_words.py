"""Small things in words: moments, spans, codes and reasons, safe to print on a terminal."""

import textwrap
from datetime import UTC, datetime
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from amends.v1 import saga_pb2

_CODE_NAMES: Final[dict[int, str]] = {code.value[0]: code.name for code in grpc.StatusCode}


def clean(text: str) -> str:
    """Returns text from elsewhere as one line, without characters that could steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def clean_lines(text: str) -> list[str]:
    """Returns text from elsewhere likewise, but in its lines, indented as they are, without empty ones."""
    lines = textwrap.dedent(text.expandtabs(4)).splitlines()
    return [
        "".join(letter if letter.isprintable() else "?" for letter in line) for line in lines if line.strip()
    ]


def moment(stamp: Timestamp) -> datetime:
    """Converts a timestamp into an aware moment, to the microsecond."""
    return stamp.ToDatetime(tzinfo=UTC)


def moment_in_words(stamp: Timestamp) -> str:
    """Shows a timestamp in UTC, to the second."""
    return moment(stamp).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float) -> str:
    """Shows a span of time as precisely as one cares to know it."""
    if seconds < 0:
        return "-" + span(-seconds)
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}h {minutes:02}m"
    if hours:
        return f"{hours}h {minutes:02}m {rest:02}s"
    return f"{minutes}m {rest:02}s"


def code_name(code: int) -> str:
    """Names a gRPC status code; a number that is none stays a number."""
    return _CODE_NAMES.get(code, f"code {code}")


def named_reason(reason: str, message: str) -> str:
    """Joins a reason for programs with its explanation for people."""
    return clean(": ".join(part for part in (reason, message) if part))


def turn_back_in_words(turn_back: saga_pb2.TurnBack) -> str:
    """Says why a saga turned back."""
    message = clean(turn_back.message)
    if turn_back.cause == saga_pb2.TurnBack.STEP_REJECTED:
        return f"{clean(turn_back.step)} was rejected: {named_reason(turn_back.reason, message)}"
    if turn_back.cause == saga_pb2.TurnBack.CANCELLED:
        return f"cancelled: {message}" if message not in ("", "cancelled") else "cancelled"
    # The coordinator's message for the other causes is a sentence that stands for itself.
    return message or clean(turn_back.reason) or "for a reason this version does not know"
