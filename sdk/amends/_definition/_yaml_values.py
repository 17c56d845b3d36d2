"""The values a definition's YAML is made of: text, names, numbers, durations.

Each reader takes a node and returns a value, or raises ``WrongTypeError`` with a predicate of the field.
"""

import difflib
import re

import yaml

from amends._definition import _checks as checks
from amends._definition._step import Kind

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+\Z")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


class WrongTypeError(Exception):
    """A value is not of its field's type."""


def _scalar(node: yaml.Node, *types: str) -> str | None:
    """The text of a scalar of one of the types, named by the ends of their tags; None for others."""
    if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix("tag:yaml.org,2002:") in types:
        return str(node.value)
    return None


def _quotable(node: yaml.Node) -> str:
    """What was written, if that can be part of a line."""
    text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    return text if len(text) <= 60 and text.isprintable() else ""


def read_string(node: yaml.Node) -> str:
    """Reads text; a number or a truth value has to be quoted to be one."""
    text = _scalar(node, "str")
    if text is None:
        written = _quotable(node)
        raise WrongTypeError("must be text" + (f'; write "{written}" in quotes' if written else ""))
    return text


def read_word(node: yaml.Node) -> str:
    """Reads text that no number in quotes would mend, so that the rules of its field tell what would."""
    text = _scalar(node, "str", "int", "float", "bool")
    return read_string(node) if text is None else text


def read_names(node: yaml.Node) -> list[str]:
    """Reads a list of step names."""
    if not isinstance(node, yaml.SequenceNode):
        raise WrongTypeError("must be a list of step names, such as [reserve, charge]")
    if len(node.value) > checks.MAX_STEPS:
        raise WrongTypeError(f"has more than {checks.MAX_STEPS} entries")
    return [read_string(item) for item in node.value]


def read_kind(node: yaml.Node) -> Kind:
    """Reads the kind of a step."""
    text = _scalar(node, "str")
    if text in set(Kind):
        return Kind(text)
    near = difflib.get_close_matches(text or "", list(Kind), 1)
    raise WrongTypeError(
        f"must be one of {', '.join(Kind)}" + (f"; did you mean {str(near[0])!r}?" if near else "")
    )


def read_truth(node: yaml.Node) -> bool:
    """Reads true or false."""
    text = _scalar(node, "bool")
    if text is None:
        raise WrongTypeError("must be true or false")
    return text.lower() in ("true", "yes", "on")


def read_whole(node: yaml.Node) -> int:
    """Reads a whole number without sign."""
    text = _scalar(node, "int")
    if text is None or not re.fullmatch(r"[0-9]{1,18}", text):
        raise WrongTypeError("must be a whole number")
    return int(text)


def read_number(node: yaml.Node) -> float:
    """Reads a number without sign."""
    text = _scalar(node, "int", "float")
    if text is None or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise WrongTypeError("must be a number, such as 2 or 1.5")
    return float(text)


def read_duration(node: yaml.Node) -> float:
    """Reads a duration, in seconds. Its unit has to be written: ``10`` alone would be a guess."""
    text = _scalar(node, "str")
    if text is None or not _DURATION.match(text):
        written = _quotable(node) if _scalar(node, "int", "float") else ""
        hint = f"; {written} of what?" if written else ""
        raise WrongTypeError(f"must be a duration with its unit, such as 10s, 500ms, 2m or 1h30m{hint}")
    return sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION_PART.findall(text))
