"""Definitions: which steps a saga has, what each needs, and under which policy.

A definition is checked once, at the door, by ``checks``; the machine relies on what is checked there.
"""

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from amends_coordinator.core.values import Direction

DEFAULT_TIMEOUT = 10.0
"""Seconds for one attempt: longer than any healthy call, shorter than anybody's patience."""


class Kind(IntEnum):
    """Which way out of the saga a step leaves open. Numbered as in the contracts."""

    COMPENSATABLE = 1
    PIVOT = 2
    RETRIABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How attempts that end unknown are repeated, by exponential backoff with full jitter.

    With the defaults a participant may be away for about two minutes before its sagas turn back.
    """

    max_attempts: int = 20
    initial_backoff: float = 0.1  # seconds
    backoff_multiplier: float = 2.0
    max_backoff: float = 10.0  # seconds

    def delay(self, failures: int, chance: float, cap: float) -> float:
        """Returns the seconds to wait after this many failures; ``chance`` lies in [0, 1)."""
        # The exponent is bounded so that a step retried for ever cannot overflow a float. A damaged log may
        # hold a multiplier that does so all the same, or is no number: then the wait is the longest one.
        try:
            bound = self.initial_backoff * self.backoff_multiplier ** min(failures - 1, 64)
        except OverflowError:
            bound = cap
        return chance * (bound if 0 <= bound <= cap else cap)


@dataclass(frozen=True, slots=True)
class MethodCall:
    """A unary method of a service that knows nothing of Amends, and the expression that makes its request."""

    method: str  # SERVICE/METHOD, the service with its package
    request: str = ""  # in CEL; empty: by the contract's defaults


class OutcomeKind(IntEnum):
    """What a rule can say that an attempt came to, in either direction. Numbered as in the contracts."""

    SUCCEEDED = 1
    REJECTED = 2
    PENDING = 3
    UNKNOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRule:
    """Says what an attempt came to that ended with a status, or with a response that fits a condition."""

    code: int  # google.rpc.Code
    outcome: OutcomeKind
    condition: str = ""  # in CEL; only with OK
    reason: str = ""  # of a rejection that is read from an OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One place in a saga. It names an action, or methods that stand for one."""

    name: str
    participant: str
    action: str = ""
    needs: tuple[str, ...] = ()  # names of steps that must have succeeded
    kind: Kind = Kind.COMPENSATABLE
    effect_free: bool = False  # never compensated: there is nothing to undo
    timeout: float = DEFAULT_TIMEOUT  # seconds for one attempt
    retry: Retry = field(default_factory=Retry)
    try_method: MethodCall | None = None
    compensate_method: MethodCall | None = None
    try_outcomes: tuple[OutcomeRule, ...] = ()
    compensate_outcomes: tuple[OutcomeRule, ...] = ()

    def method(self, direction: Direction) -> MethodCall | None:
        """The method to call in a direction; None where that is the business of an action."""
        return self.try_method if direction is Direction.FORWARD else self.compensate_method

    def rules(self, direction: Direction) -> tuple[OutcomeRule, ...]:
        """What the step says of how its attempts end in a direction."""
        return self.try_outcomes if direction is Direction.FORWARD else self.compensate_outcomes


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A named list of steps; ``version`` is 0 for one that was never registered."""

    name: str
    steps: tuple[Step, ...]
    timeout: float | None = None  # seconds a saga may go forward
    version: int = 0
    input_type: str = ""  # full name of a protobuf type; empty: any
    descriptors: bytes = b""  # google.protobuf.FileDescriptorSet of what the methods and expressions use

    def __hash__(self) -> int:
        # Definitions are keys of caches; hashing every step each time would cost more than the caches save.
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.version, self.timeout, self.steps, self.input_type, self.descriptors))

    @cached_property
    def digest(self) -> bytes:
        """Stands for all that it says, where to keep it whole would take too much memory."""
        words = repr((self.name, self.version, self.timeout, self.steps, self.input_type))
        return hashlib.sha256(words.encode() + self.descriptors).digest()

    @cached_property
    def position(self) -> dict[str, int]:
        """The place of each step in the list, by name."""
        return {step.name: place for place, step in enumerate(self.steps)}

    @cached_property
    def needs(self) -> tuple[tuple[int, ...], ...]:
        """For each step the places of the steps it needs."""
        return tuple(tuple(self.position[name] for name in step.needs) for step in self.steps)

    @cached_property
    def dependents(self) -> tuple[tuple[int, ...], ...]:
        """For each step the places of the steps that need it."""
        found: list[list[int]] = [[] for _ in self.steps]
        for place, needed in enumerate(self.needs):
            for other in needed:
                found[other].append(place)
        return tuple(map(tuple, found))

    @cached_property
    def pivot(self) -> int | None:
        """The place of the pivot, if there is one."""
        return next((place for place, step in enumerate(self.steps) if step.kind is Kind.PIVOT), None)

    @cached_property
    def calls_methods(self) -> bool:
        """Whether any step calls methods of a service that knows nothing of Amends."""
        return any(step.try_method is not None for step in self.steps)

    def before(self, place: int) -> set[int]:
        """The places of all steps that have succeeded when a step is tried: those it needs, and so on."""
        found: set[int] = set()
        waiting = list(self.needs[place])
        while waiting:
            other = waiting.pop()
            if other not in found:
                found.add(other)
                waiting.extend(self.needs[other])
        return found

    @cached_property
    def participants(self) -> frozenset[str]:
        """The names of all participants."""
        return frozenset(step.participant for step in self.steps)
