"""Expressions in CEL: compiled against types, and evaluated.

CEL is Google's Common Expression Language (https://cel.dev). It has no effects and no clock, and no loops but
those over lists, so an expression always ends, and gives the same whenever it is evaluated. The library is
the binding of the C++ runtime by CEL's makers.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from amends_coordinator.bindings.types import JSON_TYPE, Types

if TYPE_CHECKING:
    from cel_expr_python import cel

DYNAMIC = ""
"""Stands for the type of a variable of which nothing is known beforehand."""

STRING = "string"
BOOL = "bool"

MAX_WORDS = 512
"""Characters told of what is wrong with an expression; the parser repeats the whole grammar."""

_FAULT = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")  # below zero: of the expression as a whole
_VALUELESS = re.compile(r'No value with name "(.*?)" found in Activation')
_STATUS = re.compile(r"^[A-Z_]+: |(?: \[[A-Z_]+\])$")


class WrongExpressionError(Exception):
    """An expression that cannot be evaluated, whatever the values; the message says where, and why."""


class NoCelError(Exception):
    """CEL is not installed."""


class FailedExpressionError(Exception):
    """An expression that comes to nothing with the values it was given; the message says why."""


class Expression:
    """An expression that is known to give what is wanted, as far as types are known."""

    def __init__(self, text: str, compiled: "cel.Expression", wanted: Descriptor | None) -> None:
        self.text = text
        self._compiled = compiled
        self._wanted = wanted

    def message(self, values: Mapping[str, Any]) -> Message:
        """Gives the message that is wanted. Raises FailedExpressionError."""
        assert self._wanted is not None, "it was compiled for a message"
        value, name = self._evaluate(values), self._wanted.full_name
        if name == JSON_TYPE and isinstance(value, dict):
            return _json(value)
        if not isinstance(value, Message) or value.DESCRIPTOR.full_name != name:
            kind = value.DESCRIPTOR.full_name if isinstance(value, Message) else type(value).__name__
            raise FailedExpressionError(f"it gave a {kind}, but must give a {name}")
        return value

    def truth(self, values: Mapping[str, Any]) -> bool:
        """Gives the bool that is wanted. Raises FailedExpressionError."""
        value = self._evaluate(values)
        if not isinstance(value, bool):
            raise FailedExpressionError(f"it gave a {type(value).__name__}, but must give a bool")
        return value

    def _evaluate(self, values: Mapping[str, Any]) -> Any:
        try:
            found = self._compiled.eval(data=dict(values))
            json = self._wanted is not None and self._wanted.full_name == JSON_TYPE
            value = found.plain_value() if json else found.value()
            failed = found.type().name() == "ERROR"
        except (RuntimeError, TypeError, ValueError) as error:
            raise FailedExpressionError(_plain(str(error))) from error
        if failed:
            raise FailedExpressionError(_plain(str(value)))
        return value


def compiled(
    text: str, types: Types, variables: Mapping[str, str], *, package: str, wanted: "Descriptor | None"
) -> Expression:
    """Compiles an expression.

    Args:
        text: in CEL.
        types: the messages that it can speak of.
        variables: by name, STRING, BOOL, DYNAMIC or the full name of a message.
        package: the one whose messages need no package before their names.
        wanted: the message that it has to give; None: a bool.

    Raises:
        WrongExpressionError: it cannot be parsed, speaks of what there is not, or gives something else.
        NoCelError: CEL is not installed.
    """
    try:
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_optional, ext_strings
    except ModuleNotFoundError as error:
        raise NoCelError from error
    declared = {name: cel.Type.DYN if kind == DYNAMIC else cel.Type(kind) for name, kind in variables.items()}
    try:
        env = cel.NewEnv(
            descriptor_pool=types.pool,
            variables=declared,
            container=package,
            extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
        )
        expression = env.compile(text)
    except (RuntimeError, TypeError, ValueError) as error:
        raise WrongExpressionError(_fault(str(error))) from error
    gives, must = expression.return_type(), cel.Type(BOOL if wanted is None else wanted.full_name)
    fits = gives in (cel.Type.DYN, must)
    if wanted is not None and wanted.full_name == JSON_TYPE:
        fits = fits or gives.name().startswith("MAP<")
    if not fits:
        raise WrongExpressionError(f"line 1, column 1: it gives {gives.name()}, but must give {must.name()}")
    return Expression(text, expression, wanted)


def _fault(message: str) -> str:
    """The first fault that CEL found, with its place in words."""
    found = _FAULT.search(message)
    if found is None:
        return _plain(message)
    line, column, why = found.groups()
    return f"line {line}, column {column}: {_plain(why)}" if int(line) > 0 else _plain(why)


def _plain(message: str) -> str:
    """What CEL says, in one line and without the names of its status codes."""
    words = _STATUS.sub("", message.strip().splitlines()[0] if message.strip() else "no reason given")
    words = _VALUELESS.sub(r"there is no value of \1", words)
    return words if len(words) <= MAX_WORDS else words[:MAX_WORDS] + "…"


def _json(value: dict[Any, Any]) -> Message:
    try:
        return json_format.ParseDict(value, struct_pb2.Struct())
    except (json_format.Error, TypeError) as error:
        raise FailedExpressionError(f"it gave what is no JSON: {error}") from error
