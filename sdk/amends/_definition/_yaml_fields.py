"""Mappings of a YAML file as fields and their values; what is wrong with them is gathered, with its line."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from amends._definition._yaml_values import WrongTypeError
from amends.errors import Problem

MAX_PROBLEMS = 100
"""Problems that are told: nobody mends more at once, and aliases can repeat one a million times."""


class Fields(dict[str, yaml.Node]):
    """The values of a mapping by field, such as "timeout"; also those within, as "try_outcomes[0].code"."""

    def __init__(self, node: yaml.Node) -> None:
        super().__init__()
        self.node = node  # the mapping, whose line is told for what is missing
        self.unread: set[str] = set()  # what is written, but misspelt or of a wrong type


@dataclass
class FieldReader:
    """Turns mappings into values and gathers what is wrong with them."""

    source: str
    problems: list[Problem] = field(default_factory=list)

    def report(self, text: str, node: yaml.Node, *, field: str = "", step: str = "") -> None:
        """Adds a problem at the line of a node."""
        line = node.start_mark.line + 1
        if len(self.problems) < MAX_PROBLEMS:
            problem = Problem(description=text, field=field, step=step, source=self.source, line=line)
            self.problems.append(problem)

    def mapping(
        self, node: yaml.Node, known: Sequence[str], required: Sequence[str], *, step: str, within: str = ""
    ) -> Fields:
        """Reads the fields of a mapping; tells unknown, repeated and missing ones."""
        fields = Fields(node)
        if not isinstance(node, yaml.MappingNode):
            self.report("must be a mapping of fields to values", node, field=within.rstrip("."), step=step)
            return fields
        for key, value in node.value:
            name = str(key.value)[:80] if isinstance(key, yaml.ScalarNode) else "(no text)"
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                fields.unread.update(near)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                self.report(f"unknown field {within + name!r}; {hint}", key, step=step)
            elif name in fields:
                self.report("is given twice", key, field=within + name, step=step)
            else:
                fields[name] = value
        for name in required:
            # A misspelt field has been told already; that it is missing too would be noise.
            if name not in fields and name not in fields.unread:
                self.report("is missing", node, field=within + name, step=step)
        return fields

    def values(
        self,
        fields: Fields,
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
                    values[name] = read(fields[name])
                except WrongTypeError as wrong:
                    fields.unread.add(name)
                    self.report(str(wrong), fields[name], field=within + name, step=step)
        return values

    def locate(
        self, problems: Iterable[Problem], fields: Fields, *, step: str = "", within: str = ""
    ) -> None:
        """Adds problems that the rules found, each with the line of its field."""
        for problem in problems:
            at = fields.get(problem.field, fields.node)
            self.report(problem.description, at, field=within + problem.field, step=step or problem.step)
