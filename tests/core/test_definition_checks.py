"""Bad definitions, each with the field that is named."""

import math
from dataclasses import replace

import pytest

from amends_coordinator.core import limits
from amends_coordinator.core.checks import check
from amends_coordinator.core.definition import Definition, Kind, Retry, Step


def step(name: str, *needs: str, kind: Kind = Kind.COMPENSATABLE, **rest: object) -> Step:
    made = Step(name=name, participant="p", action="a", needs=needs, kind=kind)
    return replace(made, **rest)  # type: ignore[arg-type]


def definition(*steps: Step, name: str = "order", timeout: float | None = None) -> Definition:
    return Definition(name=name, steps=steps, timeout=timeout)


A = step("a")
PIVOT, RETRIABLE = Kind.PIVOT, Kind.RETRIABLE

BAD = {
    "no steps": (definition(), "steps", "has 0 steps"),
    "too many steps": (definition(*[step(f"s{n}") for n in range(1001)]), "steps", "has 1001 steps"),
    "no name": (definition(A, name=""), "name", "is empty"),
    "a name with a space": (definition(A, name="my order"), "name", "is 'my order'"),
    "a name with a line feed": (definition(A, name="order\n"), "name", "is 'order"),
    "a name too long": (definition(A, name="x" * 129), "name", "1 to 128 characters"),
    "a step without a name": (definition(step("")), "steps[0].name", "is empty"),
    "no participant": (definition(replace(A, participant="")), "steps[0].participant", "is empty"),
    "no action": (definition(replace(A, action="")), "steps[0].action", "is empty"),
    "a bad action": (definition(replace(A, action="é")), "steps[0].action", "is 'é'"),
    "a name used twice": (definition(A, step("a")), "steps[1].name", "repeats the name of steps[0]"),
    "a need that is no step": (definition(A, step("b", "x")), "steps[1].needs[0]", "names 'x'"),
    "a need named twice": (definition(A, step("b", "a", "a")), "steps[1].needs[1]", "repeats 'a'"),
    "a step that needs itself": (definition(step("a", "a")), "steps", "in a cycle: a -> a"),
    "a cycle": (definition(step("a", "b"), step("b", "c"), step("c", "a")), "steps", "in a cycle"),
    "a saga timeout of nothing": (definition(A, timeout=0.0), "timeout", "must be from 0.001"),
    "a saga timeout too long": (definition(A, timeout=367 * 86400.0), "timeout", "must be from"),
    "a saga timeout of no number": (definition(A, timeout=math.nan), "timeout", "is nan"),
    "a negative timeout": (definition(replace(A, timeout=-1.0)), "steps[0].timeout", "is -1"),
    "a timeout too long": (definition(replace(A, timeout=3601.0)), "steps[0].timeout", "is 3601"),
    "no attempts": (
        definition(replace(A, retry=Retry(max_attempts=-1))),
        "steps[0].retry.max_attempts",
        "is -1",
    ),
    "too many attempts": (
        definition(replace(A, retry=Retry(max_attempts=1_000_001))),
        "steps[0].retry.max_attempts",
        "attempts",
    ),
    "a backoff of nothing": (
        definition(replace(A, retry=Retry(initial_backoff=0.0))),
        "steps[0].retry.initial_backoff",
        "is 0",
    ),
    "a backoff too long": (
        definition(replace(A, retry=Retry(initial_backoff=3601.0, max_backoff=4000.0))),
        "steps[0].retry.initial_backoff",
        "is 3601",
    ),
    "a shrinking backoff": (
        definition(replace(A, retry=Retry(backoff_multiplier=0.5))),
        "steps[0].retry.backoff_multiplier",
        "is 0.5",
    ),
    "an exploding backoff": (
        definition(replace(A, retry=Retry(backoff_multiplier=101.0))),
        "steps[0].retry.backoff_multiplier",
        "is 101",
    ),
    "a bound below the first backoff": (
        definition(replace(A, retry=Retry(initial_backoff=5.0, max_backoff=4.0))),
        "steps[0].retry.max_backoff",
        "is 4, but must be from 5",
    ),
    "a bound too long": (
        definition(replace(A, retry=Retry(max_backoff=86401.0))),
        "steps[0].retry.max_backoff",
        "is 86401",
    ),
    "two pivots": (
        definition(step("a", kind=PIVOT), step("b", "a", kind=PIVOT)),
        "steps[1].kind",
        "is a second PIVOT",
    ),
    "a retriable step without a pivot": (
        definition(step("a", kind=RETRIABLE)),
        "steps[0].kind",
        "does not come after a PIVOT",
    ),
    "a retriable step before the pivot": (
        definition(step("a", kind=RETRIABLE), step("b", "a", kind=PIVOT)),
        "steps[0].kind",
        "does not come after a PIVOT",
    ),
    "a retriable step beside the pivot": (
        definition(step("a"), step("b", "a", kind=PIVOT), step("c", "a", kind=RETRIABLE)),
        "steps[2].kind",
        "does not come after a PIVOT",
    ),
    "a compensatable step after the pivot": (
        definition(step("a", kind=PIVOT), step("b", "a")),
        "steps[1].kind",
        "the pivot 'a' does not need it",
    ),
    "a compensatable step beside the pivot": (
        definition(step("a", kind=PIVOT), step("b")),
        "steps[1].kind",
        "the pivot 'a' does not need it",
    ),
}


@pytest.mark.parametrize(("bad", "field", "words"), BAD.values(), ids=BAD)
def test_bad_definition(bad: Definition, field: str, words: str) -> None:
    """What is wrong is told once, with its field and its value."""
    (found,) = check(bad)
    assert found.field == field
    assert words in found.description


def test_every_fault_is_told() -> None:
    """One answer names all that can be mended at once."""
    bad = definition(replace(A, timeout=0.0), replace(A, action=""), name="")
    assert [each.field for each in check(bad)] == [
        "steps[0].timeout",
        "name",
        "steps[1].action",
        "steps[1].name",
    ]


LEAST = Retry(max_attempts=1, initial_backoff=0.001, backoff_multiplier=1, max_backoff=0.001)
GREATEST = Retry(max_attempts=1_000_000, initial_backoff=3600.0, backoff_multiplier=100, max_backoff=86_400.0)

GOOD = {
    "one step": definition(A),
    "a thousand steps": definition(*[step(f"s{n}") for n in range(limits.MAX_STEPS)]),
    "a pivot alone": definition(step("a", kind=PIVOT)),
    "a pivot that needs a step through another, listed backwards": definition(
        step("e", "d", kind=RETRIABLE),
        step("d", "c", kind=RETRIABLE),
        step("c", "b", kind=PIVOT),
        step("b", "a"),
        A,
    ),
    "every bound at its least": definition(replace(A, timeout=0.001, retry=LEAST), timeout=0.001),
    "every bound at its greatest": definition(
        replace(A, timeout=3600.0, retry=GREATEST), timeout=366 * 86_400.0, name="x" * 128
    ),
}


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
def test_good_definition(good: Definition) -> None:
    """What lies within the bounds can run."""
    assert check(good) == []


def test_a_long_name_is_not_repeated_in_full() -> None:
    """A megabyte sent by mistake does not come back in the error."""
    (found,) = check(definition(A, name="x" * 100_000))
    assert len(found.description) < 200


def test_of_very_many_faults_the_first_are_told() -> None:
    """To list them all would take longer than the request was worth."""
    found = check(definition(step("a", *["x"] * 1_000)))
    assert len(found) == limits.MAX_FAULTS + 1
    assert found[-1].description == "is wrong too, and there may be more faults"


def test_nothing_else_is_looked_for_in_too_many_steps() -> None:
    """Each of them has several faults here."""
    (found,) = check(definition(*[step("")] * 1_001))
    assert found.field == "steps"


def test_a_long_list_of_needs_is_read_once() -> None:
    """However many needs there are: the time grows with the list, and not with its square."""
    steps = [step(f"s{number}") for number in range(999)]
    names = [each.name for each in steps]
    needy = [replace(each, needs=tuple(names[:place])) for place, each in enumerate(steps)]
    assert check(definition(*needy)) == []


@pytest.mark.parametrize(
    ("failures", "chance", "cap", "seconds"),
    [
        (1, 0.5, 10.0, 0.05),
        (2, 0.5, 10.0, 0.1),
        (7, 0.5, 10.0, 3.2),
        (8, 0.5, 10.0, 5.0),
        (8, 0.5, 60.0, 6.4),
        (1_000_000, 0.5, 60.0, 30.0),
        (3, 0.0, 10.0, 0.0),
    ],
)
def test_backoff(failures: int, chance: float, cap: float, seconds: float) -> None:
    """The wait is drawn between zero and a bound that grows to its cap, however often it failed."""
    assert Retry().delay(failures, chance, cap) == pytest.approx(seconds)
