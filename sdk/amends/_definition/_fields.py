"""How the values of a definition take their form: numbers, seconds, and the contracts' durations."""

import math
from datetime import timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration

from amends.errors import Problem
from amends.v1 import options_pb2, saga_pb2

T = TypeVar("T")


def fill(value: T, **fields: object) -> T:
    """Sets the fields of a frozen value that has just been made."""
    for name, content in fields.items():
        object.__setattr__(value, name, content)
    return value


def number(field: str, value: object, problems: list[Problem]) -> float | None:
    """Passes a number or None on; anything else becomes a problem."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value)
    if value is not None:
        problems.append(Problem(description=f"is {value!r}, but must be a number", field=field))
    return None


def seconds_of(field: str, value: object, problems: list[Problem]) -> float | None:
    """Returns a span in seconds; what is no span becomes a problem."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value)
    if value is not None:
        text = f"is {value!r}, but must be a number of seconds or a timedelta"
        problems.append(Problem(description=text, field=field))
    return None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int of hundreds of digits: out of every range, and said so there
        return math.inf


def is_whole(value: object) -> bool:
    """Says whether a value is a whole number, which True is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_needs(needs: object) -> list[Problem]:
    """Needs are a list of names, or None."""
    # A text is a sequence of texts, and needs="ab" would quietly need the steps "a" and "b".
    if needs is None or (isinstance(needs, list | tuple) and all(isinstance(need, str) for need in needs)):
        return []
    return [Problem(description=f"is {needs!r}, but must be a list of step names", field="needs")]


def to_duration(seconds: float | None) -> Duration | None:
    """Returns seconds as the contracts' duration, to the nanosecond."""
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1_000_000_000))
    return duration


def from_duration(
    proto: saga_pb2.Definition | saga_pb2.Step | saga_pb2.RetryPolicy | options_pb2.ActionOptions, field: str
) -> float | None:
    """Seconds of a duration field; None where it is unset."""
    if not proto.HasField(field):  # type: ignore[arg-type] # the caller names a duration of this message
        return None
    duration: Duration = getattr(proto, field)
    return duration.ToNanoseconds() / 1_000_000_000
