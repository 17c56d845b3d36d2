"""Whether a definition can run: every rule that it obeys, and what is wrong where it does not."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import chain, islice

from amends_coordinator.core import limits
from amends_coordinator.core.definition import Definition, Kind, OutcomeKind, OutcomeRule, Step

_NAME = re.compile(limits.NAME_PATTERN)
_METHOD = re.compile(limits.METHOD_PATTERN)
_TYPE = re.compile(limits.TYPE_PATTERN)
_REASON = re.compile(limits.REASON_PATTERN)
_OK = 0  # google.rpc.Code
_CODES = range(17)  # of google.rpc.Code


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
    found = check_step_count(len(definition.steps)) or _check_expression_count(definition)
    if found:
        return found
    return first_faults(
        chain(_check_numbers(definition), _check_names(definition), _check_methods(definition))
    ) or first_faults(_check_order(definition))


def check_step_count(count: int) -> list[Violation]:
    """Checks how many steps a definition has."""
    if 1 <= count <= limits.MAX_STEPS:
        return []
    return [Violation("steps", f"has {count} steps, but must have 1 to {limits.MAX_STEPS}")]


def _check_expression_count(definition: Definition) -> list[Violation]:
    count = sum(map(_count_expressions, definition.steps))
    if count <= limits.MAX_EXPRESSIONS:
        return []
    return [Violation("steps", f"have {count} expressions, but may have {limits.MAX_EXPRESSIONS}")]


def _count_expressions(step: Step) -> int:
    requests = sum(1 for call in (step.try_method, step.compensate_method) if call and call.request)
    return requests + sum(1 for rule in (*step.try_outcomes, *step.compensate_outcomes) if rule.condition)


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
        parts = ("name", "participant", "action") if step.try_method is None else ("name", "participant")
        for part in parts:
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


def _check_methods(definition: Definition) -> Iterator[Violation]:
    if definition.input_type and not _TYPE.fullmatch(definition.input_type):
        yield Violation("input_type", f"is {_shorten(definition.input_type)}, but must be {limits.TYPE_FORM}")
    for place, step in enumerate(definition.steps):
        at = f"steps[{place}]"
        yield from _check_calls(at, step)
        yield from _check_rules(f"{at}.try_outcomes", step, step.try_outcomes)
        yield from _check_rules(f"{at}.compensate_outcomes", step, step.compensate_outcomes)


def _check_calls(at: str, step: Step) -> Iterator[Violation]:
    for field, call in (("try_method", step.try_method), ("compensate_method", step.compensate_method)):
        if call is None:
            continue
        if not _METHOD.fullmatch(call.method):
            yield Violation(
                f"{at}.{field}.method", f"is {_shorten(call.method)}, but must be {limits.METHOD_FORM}"
            )
        yield from _check_expression(f"{at}.{field}.request", call.request)
    if step.try_method is None:
        if step.compensate_method is not None:
            yield Violation(f"{at}.compensate_method", "goes only with a try_method")
        return
    if step.action:
        yield Violation(
            f"{at}.action", "is set beside try_method, but a step either names an action or calls methods"
        )
    if step.effect_free and step.compensate_method is not None:
        yield Violation(
            f"{at}.compensate_method", "is set, but a step that is effect_free is never compensated"
        )
    if step.kind is Kind.COMPENSATABLE and not step.effect_free and step.compensate_method is None:
        yield Violation(f"{at}.compensate_method", _NOT_UNDONE)


def _check_rules(at: str, step: Step, rules: tuple[OutcomeRule, ...]) -> Iterator[Violation]:
    if len(rules) > limits.MAX_RULES:
        yield Violation(at, f"has {len(rules)} rules, but may have {limits.MAX_RULES}")
        return
    for number, rule in enumerate(rules):
        yield from _check_rule(f"{at}[{number}]", step, rule)


def _check_rule(at: str, step: Step, rule: OutcomeRule) -> Iterator[Violation]:
    if rule.code not in _CODES:
        yield Violation(f"{at}.code", f"is {rule.code}, which is no status code of gRPC")
    elif rule.code == _OK and step.try_method is None:
        yield Violation(f"{at}.code", "is OK, but the response of an action says itself what it came to")
    elif rule.code == _OK and not rule.condition:
        yield Violation(f"{at}.condition", "is missing: a rule for OK says of which responses it speaks")
    elif rule.code != _OK and rule.condition:
        yield Violation(f"{at}.condition", "goes only with the code OK: another status brings no response")
    yield from _check_expression(f"{at}.condition", rule.condition)
    if not rule.reason:
        return
    if rule.code != _OK or rule.outcome is not OutcomeKind.REJECTED:
        yield Violation(f"{at}.reason", "goes only with the code OK and the outcome REJECTED")
    elif not _REASON.fullmatch(rule.reason):
        yield Violation(f"{at}.reason", f"is {_shorten(rule.reason)}, but must be {limits.REASON_FORM}")


def _check_expression(where: str, expression: str) -> list[Violation]:
    size = len(expression.encode())
    if size <= limits.MAX_EXPRESSION:
        return []
    return [Violation(where, f"takes {size} bytes, but may take {limits.MAX_EXPRESSION}")]


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
_NOT_UNDONE = (
    "is missing: name the method that undoes the step, make it the PIVOT or RETRIABLE, or declare it "
    "effect_free"
)
