"""The rules of a definition, so that mistakes are told where they were made.

The coordinator checks again and decides; these rules are the same, and know nothing of participants and
their actions. They are plain functions of plain values, because definitions come from Python and from YAML
and only YAML knows lines.
"""

from collections.abc import Container, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import NamedTuple

from amends._ids import ID_FORM, is_id
from amends.errors import Problem

MAX_STEPS = 1_000
"""Steps of a definition, as in the contracts."""

MAX_WRONG_NEEDS = 20
"""Wrong needs of one step that are told: a million of them could be."""

DAY = 86_400.0
MIN_DURATION = 0.001
"""Seconds; the bounds of every duration are those of the contracts."""
MAX_SAGA_TIMEOUT = 366 * DAY
MAX_STEP_TIMEOUT = 3_600.0
MAX_INITIAL_BACKOFF = 3_600.0
MAX_BACKOFF = DAY
DEFAULT_INITIAL_BACKOFF = 0.1
MAX_MULTIPLIER = 100.0
MAX_ATTEMPTS = 1_000_000

COMPENSATABLE = "compensatable"
PIVOT = "pivot"
RETRIABLE = "retriable"


class Place(NamedTuple):
    """What the rules about order need to know of a step."""

    name: str
    needs: Sequence[str] | None  # None: the step before
    kind: str


class Finding(NamedTuple):
    """A problem and the step it is about."""

    place: int | None  # of the step in the list; None: the definition as a whole
    problem: Problem


def check_name(field: str, name: object) -> list[Problem]:
    """A name has the form of an id."""
    if isinstance(name, str) and is_id(name):
        return []
    return [Problem(description=f"is {shown(name)}, but must be {ID_FORM}", field=field)]


def check_range(field: str, value: float | None, low: float, high: float, unit: str) -> list[Problem]:
    """A number lies within its bounds; None stands for a default and always does."""
    if value is None or low <= value <= high:
        return []
    found, least, greatest = (f"{shown(number)}{unit}" for number in (value, low, high))
    text = f"is {found}, but must be from {least} to {greatest}"
    return [Problem(description=text, field=field)]


def check_retry(
    max_attempts: int | None,
    initial_backoff: float | None,
    backoff_multiplier: float | None,
    max_backoff: float | None,
) -> list[Problem]:
    """A retry policy lies within its bounds."""
    least = DEFAULT_INITIAL_BACKOFF if initial_backoff is None else initial_backoff
    return [
        *check_range("max_attempts", max_attempts, 1, MAX_ATTEMPTS, ""),
        *check_range("initial_backoff", initial_backoff, MIN_DURATION, MAX_INITIAL_BACKOFF, " s"),
        *check_range("backoff_multiplier", backoff_multiplier, 1, MAX_MULTIPLIER, ""),
        *check_range("max_backoff", max_backoff, min(least, MAX_BACKOFF), MAX_BACKOFF, " s"),
    ]


def check_places(places: Sequence[Place]) -> list[Finding]:
    """Steps have names of their own, need steps that exist, and come in an order that leaves a way out."""
    if not 1 <= len(places) <= MAX_STEPS:
        text = f"has {len(places)} steps, but must have 1 to {MAX_STEPS}"
        return [Finding(None, Problem(description=text, field="steps"))]
    return _check_references(places) or _check_order(places)


def _check_references(places: Sequence[Place]) -> list[Finding]:
    found = []
    first: dict[str, int] = {}
    for number, place in enumerate(places):
        if first.setdefault(place.name, number) != number:
            text = f"repeats the name of step {first[place.name] + 1}"
            found.append(_finding(number, place, "name", text))
    for number, place in enumerate(places):
        wrong = islice(_wrong_needs(place.needs or (), first), MAX_WRONG_NEEDS)
        found += [_finding(number, place, "needs", text) for text in wrong]
    return found


def _wrong_needs(needs: Sequence[str], known: Container[str]) -> Iterator[str]:
    seen = set()
    for need in needs:
        if need not in known:
            yield f"names {shown(need)}, which is no step here"
        elif need in seen:
            yield f"repeats {need!r}"
        seen.add(need)


def _check_order(places: Sequence[Place]) -> list[Finding]:
    position = {place.name: number for number, place in enumerate(places)}
    needed = {number: _needed(number, place, position) for number, place in enumerate(places)}
    try:
        order = list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        names = " -> ".join(places[number].name for number in cycle)
        return [_finding(cycle[0], places[cycle[0]], "needs", f"is part of a cycle: {names}")]
    pivots = [number for number, place in enumerate(places) if place.kind == PIVOT]
    if len(pivots) > 1:
        text = f"is a second pivot beside {places[pivots[0]].name!r}; a saga has one point of no return"
        return [_finding(number, places[number], "kind", text) for number in pivots[1:]]
    return _check_kinds(places, needed, order, pivots)


def _needed(number: int, place: Place, position: dict[str, int]) -> set[int]:
    if place.needs is not None:
        return {position[name] for name in place.needs}
    return {number - 1} if number else set()


def _check_kinds(
    places: Sequence[Place], needed: dict[int, set[int]], order: Sequence[int], pivots: Sequence[int]
) -> list[Finding]:
    """Whatever can still say no comes before the pivot, and what is retried for ever comes after it."""
    after: set[int] = set()
    for number in order:
        if needed[number] & (after | set(pivots)):
            after.add(number)
    before = set(pivots)
    for number in reversed(order):
        if number in before:
            before |= needed[number]
    found = []
    for number, place in enumerate(places):
        if place.kind == RETRIABLE and number not in after:
            text = "is retriable, but does not come after a pivot: until then the saga may turn back"
            found.append(_finding(number, place, "kind", text))
        if place.kind == COMPENSATABLE and pivots and number not in before:
            pivot = places[pivots[0]].name
            text = (
                f"is compensatable, but the pivot {pivot!r} does not need it: after that there is no way back"
            )
            found.append(_finding(number, place, "kind", text))
    return found


def _finding(number: int, place: Place, field: str, text: str) -> Finding:
    return Finding(number, Problem(description=text, field=field, step=place.name))


def shown(value: object) -> str:
    """A value for a message: no longer than a line."""
    text = f"{value:g}" if isinstance(value, float) else repr(value).replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."
