"""Small values that the rest of the core is written in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Payload(NamedTuple):
    """An input or a result: opaque to the coordinator, as in google.protobuf.Any."""

    type_url: str
    value: bytes


class Direction(IntEnum):
    """Which way a call goes. Numbered as in the contracts."""

    FORWARD = 1
    BACKWARD = 2


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a participant will not perform an action, in words of its domain."""

    reason: str
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a participant will not undo an effect."""

    reason: str
    message: str = ""


class Cause(IntEnum):
    """What made a saga turn back. Numbered as in the contracts."""

    STEP_REJECTED = 1
    ATTEMPTS_EXHAUSTED = 2
    DEADLINE_PASSED = 3
    CANCELLED = 4


@dataclass(frozen=True, slots=True)
class TurnBack:
    """Why a saga turned back; ``step`` is empty where no single step is to blame."""

    cause: Cause
    step: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class Resolution(IntEnum):
    """What an operator can state of a step. Numbered as in the contracts."""

    SUCCEEDED = 1
    NO_EFFECT = 2
    COMPENSATED = 3


def microseconds(moment: float) -> float:
    """Rounds a moment to whole microseconds, so that it survives the log unchanged."""
    return round(moment, 6)
