"""How attempts are repeated, as a frozen value."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from amends._definition import _checks as checks
from amends._definition import _fields as fields
from amends.errors import DefinitionError, Problem
from amends.v1 import saga_pb2


@dataclass(frozen=True, slots=True, init=False)
class Retry:
    """How attempts that end unknown are repeated: exponential backoff with full jitter.

    What is left out takes the coordinator's default.

    Raises ``DefinitionError`` for a value out of its range.
    """

    max_attempts: int | None
    """Attempts of a Try before the saga turns back; 1 to 1,000,000. Default 20."""
    initial_backoff: float | None
    """Seconds that bound the first wait; 1 ms to 1 h. Default 0.1."""
    backoff_multiplier: float | None
    """Growth of the bound from wait to wait; 1 to 100. Default 2."""
    max_backoff: float | None
    """Seconds that bound every wait; from initial_backoff up to 24 h. Default 10."""

    def __init__(
        self,
        max_attempts: int | None = None,
        initial_backoff: float | timedelta | None = None,
        backoff_multiplier: float | None = None,
        max_backoff: float | timedelta | None = None,
    ) -> None:
        problems: list[Problem] = []
        if max_attempts is not None and not fields.is_whole(max_attempts):
            problems.append(
                Problem(description=f"is {max_attempts!r}, but must be a whole number", field="max_attempts")
            )
            max_attempts = None
        initial = fields.seconds_of("initial_backoff", initial_backoff, problems)
        multiplier = fields.number("backoff_multiplier", backoff_multiplier, problems)
        greatest = fields.seconds_of("max_backoff", max_backoff, problems)
        problems += checks.check_retry(max_attempts, initial, multiplier, greatest)
        if problems:
            raise DefinitionError(problems)
        fields.fill(
            self,
            max_attempts=max_attempts,
            initial_backoff=initial,
            backoff_multiplier=multiplier,
            max_backoff=greatest,
        )

    def to_proto(self) -> saga_pb2.RetryPolicy:
        """Returns the policy as the contracts have it."""
        return saga_pb2.RetryPolicy(
            max_attempts=self.max_attempts or 0,
            initial_backoff=fields.to_duration(self.initial_backoff),
            backoff_multiplier=self.backoff_multiplier or 0.0,
            max_backoff=fields.to_duration(self.max_backoff),
        )

    @classmethod
    def from_proto(cls, proto: saga_pb2.RetryPolicy) -> Self:
        """Reads a policy that the coordinator has checked."""
        return fields.fill(
            cls.__new__(cls),
            max_attempts=proto.max_attempts or None,
            initial_backoff=fields.from_duration(proto, "initial_backoff"),
            backoff_multiplier=proto.backoff_multiplier or None,
            max_backoff=fields.from_duration(proto, "max_backoff"),
        )
