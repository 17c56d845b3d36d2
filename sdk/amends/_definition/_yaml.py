"""Definitions from YAML, with every mistake at its line.

The text is composed into nodes, never constructed into objects: nodes know their lines, and nothing in a
file can name a Python type. A file is small and shallow by rule, and aliases are followed only as deep as
a definition goes, so that none can grow large in memory.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import yaml

from amends._definition import _checks as checks
from amends._definition._model import Kind, Retry, Step
from amends._definition._yaml_values import (
    WrongTypeError,
    read_duration,
    read_kind,
    read_names,
    read_number,
    read_string,
    read_truth,
    read_whole,
)
from amends.errors import DefinitionError, Problem

MAX_BYTES = 256 * 1024
"""A definition of a thousand steps with every field set fits; a file that takes seconds to read does not."""

MAX_DEPTH = 16
"""Nesting of a file; a definition needs five levels."""

MAX_PROBLEMS = 100
"""Problems that are told: nobody mends more at once, and aliases can repeat one a million times."""

_STEP_FIELDS = ("name", "participant", "action", "needs", "kind", "effect_free", "timeout", "retry")
_STEP_REQUIRED = ("name", "participant", "action")
_RETRY_FIELDS = ("max_attempts", "initial_backoff", "backoff_multiplier", "max_backoff")


@dataclass(frozen=True)
class Parts:
    """What a text holds: the arguments of a definition."""

    name: str = ""
    steps: list[Step] = field(default_factory=list)
    timeout: float | None = None


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
    parts = reader.definition(_compose(text, source))
    if reader.problems:
        problems = sorted(reader.problems, key=lambda problem: problem.line)
        if len(problems) == MAX_PROBLEMS:
            problems.append(Problem(description="may have more that is wrong", source=source))
        raise DefinitionError(problems)
    return parts


class _ShallowLoader(yaml.SafeLoader):
    """Composes nodes, but no deeper than a definition goes: deeper ones would exhaust the stack."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # absent from the type stubs
            raise yaml.MarkedYAMLError(problem="is nested deeper than any definition", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _compose(text: str, source: str) -> yaml.Node:
    loader: _ShallowLoader | None = None
    try:
        loader = _ShallowLoader(text)
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise _not_yaml(words, source, line) from error
    except yaml.YAMLError as error:
        raise _not_yaml(str(error).splitlines()[0], source) from error
    except (ValueError, OverflowError) as error:  # of chr() and int(): PyYAML lets them pass
        line = loader.get_mark().line + 1 if loader else 0
        words = "there is no such character, or no number of so many digits"
        raise _not_yaml(words, source, line) from error
    if node is None:
        raise DefinitionError([Problem(description="is empty", source=source)])
    return node


def _not_yaml(words: str, source: str, line: int = 0) -> DefinitionError:
    return DefinitionError([Problem(description=f"is not valid YAML: {words}", source=source, line=line)])


@dataclass
class _Reader:
    """Turns nodes into values and gathers what is wrong with them."""

    source: str
    problems: list[Problem] = field(default_factory=list)

    def report(self, text: str, node: yaml.Node, *, field: str = "", step: str = "") -> None:
        line = node.start_mark.line + 1
        if len(self.problems) < MAX_PROBLEMS:
            problem = Problem(description=text, field=field, step=step, source=self.source, line=line)
            self.problems.append(problem)

    def definition(self, root: yaml.Node) -> Parts:
        """Reads the whole; what it returns is meaningful only if there are no problems."""
        fields = self.mapping(root, ("name", "steps", "timeout"), ("name", "steps"), step="")
        values = self.values(fields, {"name": read_string, "timeout": read_duration}, step="")
        if "name" in values:
            self.locate(checks.check_name("name", values["name"]), fields, root)
        high = checks.MAX_SAGA_TIMEOUT
        timeout = values.get("timeout")
        self.locate(checks.check_range("timeout", timeout, checks.MIN_DURATION, high, " s"), fields, root)
        steps = self.steps(fields["steps"][1]) if "steps" in fields else []
        return Parts(name=values.get("name", ""), steps=steps, timeout=timeout)

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
                draft = read[number or 0]
                self.locate([problem], draft.fields, draft.node)
        return [draft.step for draft in read if draft.step is not None]

    def step(self, node: yaml.Node, number: int) -> "_Draft":
        """Reads one step."""
        label = _label(node, number)
        fields = self.mapping(node, _STEP_FIELDS, _STEP_REQUIRED, step=label)
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
            values["retry"] = self.retry(fields["retry"][1], step=label)
        place = None
        if "name" in values and all(name in values for name in ("needs", "kind") if name in fields):
            place = checks.Place(values["name"], values.get("needs"), values.get("kind", Kind.COMPENSATABLE))
        draft = _Draft(node, fields, place)
        if all(name in values for name in _STEP_REQUIRED):
            try:
                draft.step = Step(**values)
            except DefinitionError as error:
                self.locate(error.problems, fields, node)
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
            self.locate(error.problems, fields, node, step=step, within="retry.")
            return None

    def mapping(
        self, node: yaml.Node, known: Sequence[str], required: Sequence[str], *, step: str, within: str = ""
    ) -> "_Fields":
        """Reads the fields of a mapping; tells unknown, repeated and missing ones."""
        if not isinstance(node, yaml.MappingNode):
            self.report("must be a mapping of fields to values", node, field=within.rstrip("."), step=step)
            return {}
        fields: _Fields = {}
        written = set()
        for key, value in node.value:
            name = str(key.value)[:80] if isinstance(key, yaml.ScalarNode) else "(no text)"
            written.add(name)
            if name not in known:
                self.report(f"unknown field {within + name!r}{_suggestion(name, known)}", key, step=step)
            elif name in fields:
                self.report("is given twice", key, field=within + name, step=step)
            else:
                fields[name] = (key, value)
        for name in required:
            # A misspelt field has been told already; that it is missing too would be noise.
            if name not in fields and not difflib.get_close_matches(name, written - set(known), 1):
                self.report("is missing", node, field=within + name, step=step)
        return fields

    def values(
        self,
        fields: "_Fields",
        readers: Mapping[str, Callable[[yaml.Node], Any]],
        *,
        step: str,
        within: str = "",
    ) -> dict[str, Any]:
        """Reads the values of fields, leaving out those that are wrong."""
        values = {}
        for name, read in readers.items():
            if name in fields:
                try:
                    values[name] = read(fields[name][1])
                except WrongTypeError as wrong:
                    self.report(str(wrong), fields[name][1], field=within + name, step=step)
        return values

    def locate(
        self,
        problems: Iterable[Problem],
        fields: "_Fields",
        node: yaml.Node,
        *,
        step: str = "",
        within: str = "",
    ) -> None:
        """Adds problems that the rules found, each with the line of its field."""
        for problem in problems:
            at = fields[problem.field][1] if problem.field in fields else node
            self.report(problem.description, at, field=within + problem.field, step=step or problem.step)


_Fields = dict[str, tuple[yaml.Node, yaml.Node]]


@dataclass
class _Draft:
    """A step as far as it could be read."""

    node: yaml.Node
    fields: _Fields
    place: checks.Place | None  # None: its name or its needs could not be read
    step: Step | None = None


def _label(node: yaml.Node, number: int) -> str:
    """What messages call a step: its name, or its place if it has none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "name" and isinstance(value, yaml.ScalarNode) and value.value:
                return str(value.value)[:80]
    return f"#{number}"


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
