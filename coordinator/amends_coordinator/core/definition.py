"""Definitions: which steps a saga has, what each needs, and under which policy.

A definition is checked once, at the door, by :func:`check`; the machine relies on what is checked there.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import chain, islice

from amends_coordinator.core import limits

_NAME = re.compile(limits.NAME_PATTERN)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One place in a saga."""

    name: str
    participant: str
    action: str
    needs: tuple[str, ...] = ()  # names of steps that must have succeeded
    kind: Kind = Kind.COMPENSATABLE
    effect_free: bool = False  # never compensated: there is nothing to undo
    timeout: float = DEFAULT_TIMEOUT  # seconds for one attempt
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A named list of steps; ``version`` is 0 for one that was never registered."""

    name: str
    steps: tuple[Step, ...]
    timeout: float | None = None  # seconds a saga may go forward
    version: int = 0

    def __hash__(self) -> int:
        # Definitions are keys of caches; hashing every step each time would cost more than the caches save.
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.version, self.timeout, self.steps))

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
    def participants(self) -> frozenset[str]:
        """The names of all participants."""
        return frozenset(step.participant for step in self.steps)


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with a definition: the field, as a path, and why."""

    field: str
    description: str


def first_faults(faults: Iterable[Violation]) -> list[Violation]:
    """Takes the first ``limits.MAX_FAULTS``, and says so if there are more; the rest is not looked for."""
    rest = iter(faults)
    found = list(islice(rest, limits.MAX_FAULTS))
    another = next(rest, None)
    if another is not None:
        found.append(Violation(another.field, "is wrong too, and there may be more faults"))
    return found


def check(definition: Definition) -> list[Violation]:
    """Lists what is wrong with a definition; an empty list means it can run.

    Of very many faults the first are told.
    """
    found = check_step_count(len(definition.steps))
    if found:
        return found
    return first_faults(chain(_check_numbers(definition), _check_names(definition))) or first_faults(
        _check_order(definition)
    )


def check_step_count(count: int) -> list[Violation]:
    """Checks how many steps a definition has."""
    if 1 <= count <= limits.MAX_STEPS:
        return []
    return [Violation("steps", f"has {count} steps, but must have 1 to {limits.MAX_STEPS}")]


def _check_numbers(definition: Definition) -> list[Violation]:
    found = []

    def within(where: str, value: float, low: float, high: float, unit: str = "seconds") -> None:
        if not low <= value <= high:
            found.append(Violation(where, f"is {value:g}, but must be from {low:g} to {high:g} {unit}"))

    if definition.timeout is not None:
        within("timeout", definition.timeout, limits.MIN_DURATION, limits.MAX_TIMEOUT_SAGA)
    for place, step in enumerate(definition.steps):
        at, retry = f"steps[{place}]", step.retry
        within(f"{at}.timeout", step.timeout, limits.MIN_DURATION, limits.MAX_TIMEOUT_STEP)
        within(f"{at}.retry.max_attempts", retry.max_attempts, 1, limits.MAX_ATTEMPTS, "attempts")
        within(
            f"{at}.retry.initial_backoff", retry.initial_backoff, limits.MIN_DURATION, limits.MAX_TIMEOUT_STEP
        )
        within(
            f"{at}.retry.backoff_multiplier", retry.backoff_multiplier, 1, limits.MAX_MULTIPLIER, "(a factor)"
        )
        within(f"{at}.retry.max_backoff", retry.max_backoff, retry.initial_backoff, limits.MAX_BACKOFF)
    return found


def check_name(where: str, name: str) -> list[Violation]:
    """Checks an id or a name against the form that all of them share."""
    if _NAME.fullmatch(name):
        return []
    return [Violation(where, f"is {_shorten(name)}, but must be {limits.NAME_FORM}")]


def _shorten(text: str) -> str:
    return "empty" if not text else repr(text if len(text) <= 40 else text[:40] + "…")


def _check_names(definition: Definition) -> Iterator[Violation]:
    yield from check_name("name", definition.name)
    for place, step in enumerate(definition.steps):
        for part in ("name", "participant", "action"):
            yield from check_name(f"steps[{place}].{part}", getattr(step, part))
    seen: dict[str, int] = {}
    for place, step in enumerate(definition.steps):
        first = seen.setdefault(step.name, place)
        if first != place:
            yield Violation(
                f"steps[{place}].name", f"repeats the name of steps[{first}], {_shorten(step.name)}"
            )
    for place, step in enumerate(definition.steps):
        needed: set[str] = set()
        for number, name in enumerate(step.needs):
            if name not in seen:
                description = f"names {_shorten(name)}, which is no step of this definition"
                yield Violation(f"steps[{place}].needs[{number}]", description)
            elif name in needed:
                yield Violation(f"steps[{place}].needs[{number}]", f"repeats {_shorten(name)}")
            needed.add(name)


def _check_order(definition: Definition) -> list[Violation]:
    steps = definition.steps
    try:
        order = list(TopologicalSorter(dict(enumerate(definition.needs))).static_order())
    except CycleError as error:
        names = " -> ".join(steps[place].name for place in reversed(error.args[1]))
        return [Violation("steps", f"need each other in a cycle: {names}")]
    pivots = [place for place, step in enumerate(steps) if step.kind is Kind.PIVOT]
    if len(pivots) > 1:
        return [
            Violation(
                f"steps[{pivots[1]}].kind", "is a second PIVOT, but a saga has at most one point of no return"
            )
        ]
    return _check_pivot(definition, order)


def _check_pivot(definition: Definition, order: list[int]) -> list[Violation]:
    pivot = definition.pivot
    after: set[int] = set()  # every step that needs the pivot, directly or not
    before: set[int] = set()  # every step that the pivot needs
    if pivot is not None:
        for place in order:
            if place != pivot and any(other == pivot or other in after for other in definition.needs[place]):
                after.add(place)
        for place in reversed(order):
            if any(other == pivot or other in before for other in definition.dependents[place]):
                before.add(place)
    found = []
    for place, step in enumerate(definition.steps):
        where = f"steps[{place}].kind"
        if step.kind is Kind.RETRIABLE and place not in after:
            found.append(Violation(where, _RETRIABLE_BEFORE))
        if step.kind is Kind.COMPENSATABLE and pivot is not None and place not in before:
            found.append(Violation(where, _COMPENSATABLE_AFTER.format(definition.steps[pivot].name)))
    return found


_RETRIABLE_BEFORE = (
    "is RETRIABLE, but does not come after a PIVOT: nothing before the pivot may be retried for ever, "
    "since the saga could still turn back"
)
_COMPENSATABLE_AFTER = (
    "is COMPENSATABLE, but the pivot {!r} does not need it: it could still be rejected when "
    "there is no way back"
)
