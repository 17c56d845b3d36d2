"""What is given to the kit: the participant's action, inputs for it, and two things to do beside calls."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from google.protobuf import any_pb2


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of the action, by what a Try with each of them comes to."""

    succeeding: any_pb2.Any = field(default_factory=any_pb2.Any)
    """One that succeeds, again and again, as long as what it did is undone now and then."""
    rejected: any_pb2.Any | None = None
    """One that is rejected, for a reason of the participant's domain."""
    other: any_pb2.Any | None = None
    """One that is well-formed, and not the succeeding one; the rejected one will do."""
    failing: any_pb2.Any | None = None
    """One with which the Try fails for a passing reason, so that it has to be repeated."""
    pending: any_pb2.Any | None = None
    """One with which the Try is pending."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The participant that is to be certified, as far as the contract cannot tell."""

    action: str
    """Names the action, one that can be compensated."""
    inputs: Inputs
    results: Mapping[str, any_pb2.Any] = field(default_factory=dict)
    """Results of the steps that the action needs, by step name; they come with every Try."""
    count_effects: Callable[[str], Awaitable[int]] | None = None
    """Tells how many effects of the saga with this id are in force: applied and not undone."""
    restart: Callable[[], Awaitable[None]] | None = None
    """Kills the participant and starts it again; returns when it has been started."""


class CommandFailedError(Exception):
    """What was to be done beside the calls could not be done; says why."""
