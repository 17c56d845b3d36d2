"""Expressions in CEL: compiled against types, and evaluated.

CEL is Google's Common Expression Language (https://cel.dev). It has no effects and no clock, and no loops but
those over lists and maps, so an expression always ends; and but for loops over maps, whose keys come in any
order, it gives the same whenever it is evaluated. The library is the binding of the C++ runtime by CEL's
makers.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from amends_coordinator.descriptors.types import Types, message_of

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

_UNWRAPPED = {
    "string_wrapper": "STRING",
    "bytes_wrapper": "BYTES",
    "bool_wrapper": "BOOL",
    "int_wrapper": "INT",
    "uint_wrapper": "UINT",
    "double_wrapper": "DOUBLE",
}
"""Of protobuf's wrappers CEL knows only what is in them."""

_JSON = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"})


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
        return _message(self._evaluate(values), self._wanted)

    def truth(self, values: Mapping[str, Any]) -> bool:
        """Gives the bool that is wanted. Raises FailedExpressionError."""
        value = self._evaluate(values)
        if not isinstance(value, bool):
            raise FailedExpressionError(f"it gave a {type(value).__name__}, but must give a bool")
        return value

    def _evaluate(self, values: Mapping[str, Any]) -> Any:
        try:
            found = self._compiled.eval(data=dict(values))
            plain = self._wanted is not None and self._wanted.full_name in _JSON
            value = found.plain_value() if plain else found.value()
            failed = found.type().name() == "ERROR"
        except (RuntimeError, TypeError, ValueError) as error:
            raise FailedExpressionError(_plain(str(error))) from error
        if failed:
            raise FailedExpressionError(_plain(str(value)))
        return value


class Environment:
    """What expressions are compiled in. To make one takes as long as compiling twenty expressions in it."""

    def __init__(self, types: Types, variables: Mapping[str, str], *, package: str) -> None:
        """Makes an environment.

        Args:
            types: the messages that expressions can speak of.
            variables: by name, STRING, BOOL, DYNAMIC or the full name of a message.
            package: the one whose messages need no package before their names.

        Raises:
            WrongExpressionError: CEL cannot work with these types.
            NoCelError: CEL is not installed.
        """
        try:
            from cel_expr_python import cel
            from cel_expr_python.ext import ext_optional, ext_strings
        except ModuleNotFoundError as error:
            raise NoCelError from error
        declared = {
            name: cel.Type.DYN if kind == DYNAMIC else cel.Type(kind) for name, kind in variables.items()
        }
        try:
            self._env = cel.NewEnv(
                descriptor_pool=types.pool,
                variables=declared,
                container=package,
                extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
            )
        except (RuntimeError, TypeError, ValueError) as error:
            raise WrongExpressionError(_plain(str(error))) from error
        self._type = cel.Type

    def compile(self, text: str, wanted: Descriptor | None) -> Expression:
        """Compiles an expression that has to give a message, or, where none is wanted, a bool.

        Raises:
            WrongExpressionError: it cannot be parsed, speaks of what there is not, or gives something else.
        """
        try:
            expression = self._env.compile(text)
        except (RuntimeError, TypeError, ValueError) as error:
            raise WrongExpressionError(_fault(str(error))) from error
        gives, must = expression.return_type(), self._type(BOOL if wanted is None else wanted.full_name)
        if not self._fits(gives, must):
            name = must.name() if wanted is None else wanted.full_name
            raise WrongExpressionError(f"line 1, column 1: it gives {gives.name()}, but must give {name}")
        return Expression(text, expression, wanted)

    def _fits(self, gives: "cel.Type", must: "cel.Type") -> bool:
        if self._type.DYN in (gives, must) or gives == must:
            return True
        if must.name() == "any":
            return bool(gives.is_message())
        if must.name() == "MAP<STRING, DYN>":
            return bool(gives.name().startswith("MAP<"))
        if must.name() == "LIST<DYN>":
            return bool(gives.name().startswith("LIST<"))
        return bool(_UNWRAPPED.get(must.name()) == gives.name())


def _message(value: Any, wanted: Descriptor) -> Message:
    """The message that a value of CEL stands for."""
    name = wanted.full_name
    if isinstance(value, Message) and value.DESCRIPTOR.full_name == name:
        return value
    made: Any = message_of(wanted)
    try:
        if name in _JSON:
            json_format.ParseDict(value, made)
        elif name == "google.protobuf.Any" and isinstance(value, Message):
            made.Pack(value)
        elif name == "google.protobuf.Timestamp":
            made.FromDatetime(value)
        elif name == "google.protobuf.Duration":
            made.FromTimedelta(value)
        elif name.startswith("google.protobuf.") and "value" in wanted.fields_by_name:
            made.value = bytes(value) if isinstance(value, bytearray) else value
        else:
            raise TypeError
    except json_format.Error as error:
        words = " ".join(str(error).split())
        raise FailedExpressionError(f"it gave what is no {name}: {words}") from error
    except (TypeError, ValueError, AttributeError) as error:
        kind = value.DESCRIPTOR.full_name if isinstance(value, Message) else type(value).__name__
        raise FailedExpressionError(f"it gave a {kind}, but must give a {name}") from error
    found: Message = made
    return found


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
