"""Definitions from YAML, with every mistake at its line."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TypedDict

import yaml

from amends._definition import _checks as checks
from amends._definition import _descriptors as descriptor_sets
from amends._definition import _method_checks as method_checks
from amends._definition._methods import MethodCall, OutcomeRule
from amends._definition._retry import Retry
from amends._definition._step import Kind, Step
from amends._definition._yaml_fields import MAX_PROBLEMS, FieldReader, Fields
from amends._definition._yaml_nodes import compose
from amends._definition._yaml_values import (
    read_duration,
    read_kind,
    read_names,
    read_number,
    read_string,
    read_truth,
    read_whole,
    read_word,
)
from amends.errors import DefinitionError, Problem

MAX_BYTES = 256 * 1024
"""A definition of a thousand steps with every field set fits; a file that takes seconds to read does not."""

_FIELDS = ("name", "steps", "timeout", "input_type", "descriptors")
_STEP_FIELDS = (
    *("name", "participant", "action", "needs", "kind", "effect_free", "timeout", "retry"),
    *("try_method", "compensate_method", "try_outcomes", "compensate_outcomes"),
)
_RETRY_FIELDS = ("max_attempts", "initial_backoff", "backoff_multiplier", "max_backoff")
_METHOD_FIELDS = ("method", "request")
_RULE_FIELDS = ("code", "outcome", "condition", "reason")

_CALLED = frozenset(
    {
        "action",
        "kind",
        "effect_free",
        "try_method",
        "compensate_method",
        "try_outcomes",
        "compensate_outcomes",
    }
)
"""The fields of a step that the rules about what it calls put together: with a hole they prove nothing."""


class Parts(TypedDict):
    """What a text holds: the arguments of a definition."""

    name: str
    steps: list[Step]
    timeout: float | None
    input_type: str
    descriptors: bytes


def read_file(path: str | PathLike[str]) -> Parts:
    """Reads a file. Raises ``DefinitionError``, and ``OSError`` if the file cannot be read."""
    source = fspath(path)
    with Path(path).open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DefinitionError([Problem(description="is not UTF-8 text", source=source, line=line)]) from error
    return read_text(text, source)


def read_text(text: str, source: str) -> Parts:
    """Reads a text that messages call ``source``. Raises ``DefinitionError``."""
    if len(text) > MAX_BYTES:
        problem = Problem(
            description=f"is larger than {MAX_BYTES // 1024} KiB, which no definition needs", source=source
        )
        raise DefinitionError([problem])
    reader = _Reader(source)
    parts = reader.definition(compose(text, source))
    if reader.problems:
        problems = sorted(reader.problems, key=lambda problem: problem.line)
        if len(problems) == MAX_PROBLEMS:
            problems.append(Problem(description="may have more that is wrong", source=source))
        raise DefinitionError(problems)
    return parts


class _Reader(FieldReader):
    """Turns nodes into the values of a definition."""

    def definition(self, root: yaml.Node) -> Parts:
        """Reads the whole; what it returns is meaningful only if there are no problems."""
        fields = self.mapping(root, _FIELDS, ("name", "steps"), step="")
        readers = {
            "name": read_string,
            "timeout": read_duration,
            "input_type": read_word,
            "descriptors": read_string,
        }
        values = self.values(fields, readers, step="")
        if "name" in values:
            self.locate(checks.check_name("name", values["name"]), fields)
        if "input_type" in values:
            self.locate(method_checks.check_type("input_type", values["input_type"]), fields)
        high = checks.MAX_SAGA_TIMEOUT
        timeout = values.get("timeout")
        self.locate(checks.check_range("timeout", timeout, checks.MIN_DURATION, high, " s"), fields)
        return Parts(
            name=values.get("name", ""),
            steps=self.steps(fields["steps"]) if "steps" in fields else [],
            timeout=timeout,
            input_type=values.get("input_type", ""),
            descriptors=self.descriptors(values["descriptors"], fields) if "descriptors" in values else b"",
        )

    def descriptors(self, name: str, fields: Fields) -> bytes:
        """Reads a file of descriptors, which lies in the folder of the definition's own."""
        problems: list[Problem] = []
        found = b""
        try:
            found = descriptor_sets.read(Path(self.source).parent / name, problems)
        except (OSError, ValueError) as error:  # ValueError: no file can have this name
            why = getattr(error, "strerror", None) or error
            text = f"is {checks.shown(name)}, which cannot be read: {why}"
            problems.append(Problem(description=text, field="descriptors"))
        self.locate(problems, fields)
        return found

    def steps(self, node: yaml.Node) -> list[Step]:
        """Reads the list of steps and checks how they hang together."""
        if not isinstance(node, yaml.SequenceNode):
            self.report("must be a list of steps", node, field="steps")
            return []
        if len(node.value) > checks.MAX_STEPS or not node.value:
            text = f"has {len(node.value)} steps, but must have 1 to {checks.MAX_STEPS}"
            self.report(text, node, field="steps")
            return []
        read = [self.step(item, number) for number, item in enumerate(node.value, 1)]
        places = [draft.place for draft in read if draft.place is not None]
        if len(places) == len(read):  # an order with holes proves nothing
            for number, problem in checks.check_places(places):
                self.locate([problem], read[number or 0].fields)
        return [draft.step for draft in read if draft.step is not None]

    def step(self, node: yaml.Node, number: int) -> "_Draft":
        """Reads one step."""
        label = _label(node, number)
        fields = self.mapping(node, _STEP_FIELDS, ("name", "participant"), step=label)
        readers = {
            "name": read_string,
            "participant": read_string,
            "action": read_string,
            "needs": read_names,
            "kind": read_kind,
            "effect_free": read_truth,
            "timeout": read_duration,
        }
        values = self.values(fields, readers, step=label)
        if "retry" in fields:
            values["retry"] = self.retry(fields["retry"], step=label)
        for name in ("try_method", "compensate_method"):
            if name in fields:
                values[name] = self.method(name, fields, step=label)
        for name in ("try_outcomes", "compensate_outcomes"):
            if name in fields:
                values[name] = self.rules(name, fields, step=label)
        draft = _Draft(fields)
        if "name" in values and not fields.unread & {"needs", "kind"}:
            kind = values.get("kind", Kind.COMPENSATABLE)
            draft.place = checks.Place(values["name"], values.get("needs"), kind)
        if "name" in values and "participant" in values:
            try:
                draft.step = Step(**values)
            except DefinitionError as error:
                self.locate(_provable(error.problems, fields), fields)
        return draft

    def retry(self, node: yaml.Node, step: str) -> Retry | None:
        """Reads a retry policy."""
        fields = self.mapping(node, _RETRY_FIELDS, (), step=step, within="retry.")
        readers = {
            "max_attempts": read_whole,
            "initial_backoff": read_duration,
            "backoff_multiplier": read_number,
            "max_backoff": read_duration,
        }
        values = self.values(fields, readers, step=step, within="retry.")
        try:
            return Retry(**values)
        except DefinitionError as error:
            self.locate(error.problems, fields, step=step, within="retry.")
            return None

    def method(self, name: str, step_fields: Fields, step: str) -> MethodCall | None:
        """Reads a call of a method: its parts, or in short its name alone."""
        node, within = step_fields[name], f"{name}."
        if isinstance(node, yaml.ScalarNode):
            fields = Fields(node)
            fields["method"] = node
        else:
            fields = self.mapping(node, _METHOD_FIELDS, ("method",), step=step, within=within)
        readers = {"method": read_word, "request": read_string}
        values = self.values(fields, readers, step=step, within=within)
        if "method" in values and not fields.unread:
            try:
                return MethodCall(**values)
            except DefinitionError as error:
                self.locate(error.problems, fields, step=step, within=within)
        step_fields.unread.add(name)
        return None

    def rules(self, name: str, step_fields: Fields, step: str) -> list[OutcomeRule]:
        """Reads a list of rules about how attempts end."""
        node = step_fields[name]
        text = ""
        if not isinstance(node, yaml.SequenceNode):
            text = "must be a list of rules, such as [{code: NOT_FOUND, outcome: succeeded}]"
        elif len(node.value) > method_checks.MAX_RULES:
            text = f"has {len(node.value)} rules, but may have {method_checks.MAX_RULES}"
        if text:
            self.report(text, node, field=name, step=step)
            step_fields.unread.add(name)
            return []
        read = [
            self.rule(f"{name}[{place}]", item, step_fields, step) for place, item in enumerate(node.value)
        ]
        if None in read:
            step_fields.unread.add(name)
        return [rule for rule in read if rule is not None]

    def rule(self, name: str, node: yaml.Node, step_fields: Fields, step: str) -> OutcomeRule | None:
        """Reads one rule."""
        within = f"{name}."
        fields = self.mapping(node, _RULE_FIELDS, ("code", "outcome"), step=step, within=within)
        readers = {
            "code": read_word,
            "outcome": read_word,
            "condition": read_string,
            "reason": read_string,
        }
        values = self.values(fields, readers, step=step, within=within)
        if fields.unread or "code" not in values or "outcome" not in values:
            return None
        step_fields.update({within + field: value for field, value in fields.items()})
        try:
            return OutcomeRule(**values)
        except DefinitionError as error:
            self.locate(error.problems, fields, step=step, within=within)
            return None


@dataclass
class _Draft:
    """A step as far as it could be read."""

    fields: Fields
    place: checks.Place | None = None  # None: its name or its needs could not be read
    step: Step | None = None


def _provable(problems: Sequence[Problem], fields: Fields) -> Sequence[Problem]:
    """Leaves out what the rules about calls concluded from what could not be read."""
    if fields.unread.isdisjoint(_CALLED):
        return problems
    return [problem for problem in problems if problem.field.partition("[")[0] not in _CALLED]


def _label(node: yaml.Node, number: int) -> str:
    """What messages call a step: its name, or its place if it has none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "name" and isinstance(value, yaml.ScalarNode) and value.value:
                return str(value.value)[:80]
    return f"#{number}"
