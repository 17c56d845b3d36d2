"""Bad definitions, each with the field that is named."""

import math
from dataclasses import replace

import pytest

from amends_coordinator.core import limits
from amends_coordinator.core.checks import check
from amends_coordinator.core.definition import (
    Definition,
    Kind,
    MethodCall,
    OutcomeKind,
    OutcomeRule,
    Retry,
    Step,
)


def step(name: str, *needs: str, kind: Kind = Kind.COMPENSATABLE, **rest: object) -> Step:
    made = Step(name=name, participant="p", action="a", needs=needs, kind=kind)
    return replace(made, **rest)  # type: ignore[arg-type]


def definition(*steps: Step, name: str = "order", timeout: float | None = None) -> Definition:
    return Definition(name=name, steps=steps, timeout=timeout)


A = step("a")
PIVOT, RETRIABLE = Kind.PIVOT, Kind.RETRIABLE
SHIP, UNSHIP = MethodCall("shop.v1.Shipping/Ship"), MethodCall("shop.v1.Shipping/Unship")
M = Step(name="m", participant="p", try_method=SHIP, compensate_method=UNSHIP)


def rule(code: int = 5, outcome: OutcomeKind = OutcomeKind.UNKNOWN, **rest: str) -> OutcomeRule:
    return OutcomeRule(code=code, outcome=outcome, **rest)


def ruled(*rules: OutcomeRule, of: Step = M) -> Definition:
    return definition(replace(of, try_outcomes=rules))


OK = rule(0, condition="true")
EXPRESSIVE = replace(
    M,
    try_method=replace(SHIP, request="x"),
    compensate_method=replace(UNSHIP, request="x"),
    try_outcomes=(OK,),
    compensate_outcomes=(OK,),
)


def expressive(count: int, *others: Step) -> Definition:
    """As many steps with four expressions each, and others."""
    return definition(*(replace(EXPRESSIVE, name=f"s{number}") for number in range(count)), *others)


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
    "an input of no type": (replace(definition(A), input_type="a..B"), "input_type", "is 'a..B'"),
    "a type too long": (replace(definition(A), input_type="a" * 513), "input_type", "at most 512"),
    "an action beside a method": (definition(replace(M, action="do")), "steps[0].action", "is set beside"),
    "a method without a service": (
        definition(replace(M, try_method=MethodCall("Ship"))),
        "steps[0].try_method.method",
        "is 'Ship', but must be PACKAGE.SERVICE/METHOD",
    ),
    "a method as a path": (
        definition(replace(M, compensate_method=MethodCall("/shop.v1.Shipping/Unship"))),
        "steps[0].compensate_method.method",
        "must be PACKAGE.SERVICE/METHOD",
    ),
    "a method of two lines": (
        definition(replace(M, try_method=MethodCall("a.B/C\n"))),
        "steps[0].try_method.method",
        "must be PACKAGE.SERVICE/METHOD",
    ),
    "an expression too long": (
        definition(replace(M, try_method=replace(SHIP, request="é" * 8_193))),
        "steps[0].try_method.request",
        "takes 16386 bytes, but may take 16384",
    ),
    "a method that undoes an action": (
        definition(replace(A, compensate_method=UNSHIP)),
        "steps[0].compensate_method",
        "goes only with a try_method",
    ),
    "a method that nothing undoes": (
        definition(replace(M, compensate_method=None)),
        "steps[0].compensate_method",
        "name the method that undoes the step, make it the PIVOT",
    ),
    "a method that undoes nothing": (
        definition(replace(M, effect_free=True)),
        "steps[0].compensate_method",
        "effect_free is never compensated",
    ),
    "too many rules": (ruled(*[rule()] * 33), "steps[0].try_outcomes", "has 33 rules, but may have 32"),
    "too many expressions": (
        expressive(limits.MAX_STEPS - 1, replace(EXPRESSIVE, compensate_outcomes=(OK, OK))),
        "steps",
        "have 4001 expressions, but may have 4000",
    ),
    "a rule for no code": (ruled(rule(17)), "steps[0].try_outcomes[0].code", "is 17, which is no status"),
    "a rule for the OK of an action": (
        ruled(rule(0, condition="true"), of=A),
        "steps[0].try_outcomes[0].code",
        "the response of an action says itself",
    ),
    "a rule for every OK": (ruled(rule(0)), "steps[0].try_outcomes[0].condition", "is missing"),
    "a rule for a response that is none": (
        ruled(rule(), rule(condition="true")),
        "steps[0].try_outcomes[1].condition",
        "goes only with the code OK",
    ),
    "a condition too long": (
        ruled(rule(0, condition="x" * 16_385)),
        "steps[0].try_outcomes[0].condition",
        "takes 16385 bytes",
    ),
    "a reason of a status": (
        ruled(rule(5, OutcomeKind.REJECTED, reason="NO")),
        "steps[0].try_outcomes[0].reason",
        "goes only with the code OK",
    ),
    "a reason of what is no rejection": (
        ruled(rule(0, condition="true", reason="NO")),
        "steps[0].try_outcomes[0].reason",
        "and the outcome REJECTED",
    ),
    "a reason in words": (
        ruled(rule(0, OutcomeKind.REJECTED, condition="true", reason="no money")),
        "steps[0].try_outcomes[0].reason",
        "is 'no money', but must be 2 to 63 characters",
    ),
    "a bad rule about a Compensate": (
        definition(replace(M, compensate_outcomes=(rule(-1),))),
        "steps[0].compensate_outcomes[0].code",
        "is -1",
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
    "as many expressions as there may be": expressive(limits.MAX_STEPS),
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


def test_steps_that_call_methods_can_be_right() -> None:
    """Every way out, and every kind of rule."""
    kinds = (
        M,
        replace(M, name="e", needs=("m",), effect_free=True, compensate_method=None),
        replace(M, name="p", needs=("e",), kind=PIVOT, compensate_method=None),
        replace(M, name="r", needs=("p",), kind=RETRIABLE, compensate_method=None),
    )
    assert check(definition(*kinds)) == []
    said = rule(0, OutcomeKind.REJECTED, condition="x", reason="CARD_DECLINED")
    assert check(ruled(rule(), rule(16, OutcomeKind.SUCCEEDED), said)) == []
    assert check(ruled(rule(14, OutcomeKind.REJECTED), of=A)) == []


def test_a_step_knows_all_that_have_succeeded_before_it() -> None:
    """What it needs, and what that needs; in whatever order they are listed."""
    made = definition(step("d", "b", "c"), step("b", "a"), step("c", "a"), step("a"), step("e"))
    assert [made.before(place) for place in range(5)] == [{1, 2, 3}, {3}, {3}, set(), set()]


def test_a_definition_knows_whether_it_calls_methods() -> None:
    assert definition(A, M).calls_methods
    assert not definition(A).calls_methods


def test_equal_definitions_and_no_others_have_the_same_digest() -> None:
    """Whatever it is that differs."""
    made = definition(A)
    others = (
        replace(made, name="x"),
        replace(made, version=1),
        replace(made, timeout=1.0),
        replace(made, input_type="a.B"),
        replace(made, descriptors=b"x"),
        definition(replace(A, retry=Retry(max_attempts=3))),
        ruled(rule()),
    )
    assert definition(step("a")).digest == made.digest
    assert len({made.digest, *(each.digest for each in others)}) == 1 + len(others)
