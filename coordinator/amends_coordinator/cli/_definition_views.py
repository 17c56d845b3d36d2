"""What people see of definitions."""

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.duration_pb2 import Duration
from rich.text import Text

from amends.v1 import saga_pb2
from amends_coordinator.cli import _screen
from amends_coordinator.cli._words import clean, clean_lines, code_name, moment_in_words, span

_WIDTH: Final = 14
"""Columns of what stands before each part of a step."""


def show_definitions(definitions: list[saga_pb2.Definition]) -> None:
    """Prints a list of definitions."""
    listed = _screen.table("definition", "version", "steps", "registered")
    for definition in definitions:
        steps = Text(clean(", ".join(step.name for step in definition.steps)))
        registered = moment_in_words(definition.create_time)
        listed.add_row(Text(clean(definition.name)), str(definition.version), steps, registered)
    _screen.show(listed)


def show_definition(definition: saga_pb2.Definition) -> None:
    """Prints a definition, step by step; then what its steps call, and how they read what comes back."""
    limit = (
        f", sagas turn back after {_seconds(definition.timeout)}" if definition.HasField("timeout") else ""
    )
    _screen.say(f"{clean(definition.name)} version {definition.version}{limit}", "bold")
    steps = _screen.table("step", "participant", "action", "needs", "kind", "timeout")
    for place, step in enumerate(definition.steps):
        before = [definition.steps[place - 1].name] if place else []
        needs = step.needs.steps if step.HasField("needs") else before
        kind = saga_pb2.Step.Kind.Name(step.kind or saga_pb2.Step.COMPENSATABLE)
        steps.add_row(
            Text(clean(step.name)),
            Text(clean(step.participant)),
            Text(clean(step.action or step.try_method.method)),
            Text(clean(", ".join(needs)) or "-"),
            kind + (", effect free" if step.effect_free else ""),
            _seconds(step.timeout) if step.HasField("timeout") else "",
        )
    _screen.show(steps)
    _show_types(definition)
    for step in definition.steps:
        if step.HasField("try_method") or step.try_outcomes or step.compensate_outcomes:
            _show_calls(step)


def _show_types(definition: saga_pb2.Definition) -> None:
    """Prints the type of the input, and the files that describe this and other types."""
    files = ", ".join(file.name for file in definition.descriptors.file)
    facts = [
        (name, text) for name, text in (("input", definition.input_type), ("described in", files)) if text
    ]
    if facts:
        _screen.say("")
    for name, text in facts:
        _screen.say(f"{name:<{_WIDTH}}{clean(text)}")


def _show_calls(step: saga_pb2.Step) -> None:
    """Prints the methods of a step, the expressions that make their requests, and its rules."""
    _screen.say(f"\n{clean(step.name)}", "bold")
    for what, field in (("try", "try_method"), ("compensate", "compensate_method")):
        call: saga_pb2.MethodCall = getattr(step, field)
        rules: Iterable[saga_pb2.OutcomeRule] = getattr(step, f"{what}_outcomes")
        parts = [clean(call.method), *clean_lines(call.request), *_rules(rules)]
        for place, line in enumerate(part for part in parts if part):
            _screen.say(f"  {'' if place else what:<{_WIDTH - 2}}{line}")


def _rules(rules: Iterable[saga_pb2.OutcomeRule]) -> Iterator[str]:
    """Says in a line each what a step makes of how its attempts end."""
    for rule in rules:
        outcome = saga_pb2.OutcomeRule.Outcome.Name(rule.outcome)
        reason = f" ({clean(rule.reason)})" if rule.reason else ""
        condition = f" where {clean(rule.condition)}" if rule.condition else ""
        yield f"{code_name(rule.code)}{condition}: {outcome}{reason}"


def _seconds(duration: Duration) -> str:
    return span(duration.ToTimedelta().total_seconds())
