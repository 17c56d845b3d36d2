"""Between Python values and what JSON can say: dataclasses, enums and containers of them.

`to_json` reads the values; `decoder_for` reads the annotations, once per type. Both refuse what would
not come back as it went: numbers are doubles on the wire, so a larger integer would lose its last digits.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import UnionType
from typing import Any, Final

from amends.errors import PayloadError

INTEGER_MAX: Final = 2**53
"""The greatest magnitude up to which a double holds every integer."""

DEPTH_MAX: Final = 32
"""How deeply values may nest: protobuf parses 100 nested messages, and one level of a Struct takes three."""

_Decoder = Callable[[Any, str], Any]


def to_json(value: Any, path: str = "", depth: int = 0) -> Any:
    """Turns a value into dicts, lists, strings, numbers, booleans and None, without sharing any of it.

    Raises:
        PayloadError: JSON cannot say it; names the place.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return _checked_int(value, path)
    if kind is float:
        return _checked_float(value, path)
    if depth > DEPTH_MAX:
        raise PayloadError(f"{_at(path)}: nested more than {DEPTH_MAX} levels deep")
    return _compound_to_json(value, path or kind.__name__, depth + 1)


def _compound_to_json(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, enum.Enum):
        return to_json(value.value, path, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            name: to_json(getattr(value, name), f"{path}.{name}", depth) for name in _init_fields(type(value))
        }
    if isinstance(value, Mapping):
        return {_key(key, path): to_json(item, f"{path}.{key}", depth) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, f"{path}[{index}]", depth) for index, item in enumerate(value)]
    if isinstance(value, str):
        return str(value)
    raise PayloadError(
        f"{path}: a {type(value).__name__} is neither JSON nor a protobuf message; "
        "pass it as a string or a number, or use a protobuf message"
    )


@lru_cache(maxsize=1024)
def decoder_for(expected: Any) -> _Decoder:
    """Returns what turns a JSON value into the type; it takes the value and its path, for messages.

    Raises:
        PayloadError: JSON cannot say values of this type.
    """
    if expected is Any or expected is object:
        return lambda value, path: value
    if expected is None or expected is type(None):
        return _decode_none
    if expected in _SCALARS:
        return _SCALARS[expected]
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _dataclass_decoder(expected)
    if isinstance(expected, type) and issubclass(expected, enum.Enum):
        return _enum_decoder(expected)
    return _generic_decoder(expected)


def is_object(expected: Any) -> bool:
    """Tells whether values of a type are JSON objects."""
    return (typing.get_origin(expected) or expected) in (dict, Mapping) or dataclasses.is_dataclass(expected)


def name_of(expected: Any) -> str:
    """Names a type for people."""
    return (
        expected.__name__ if isinstance(expected, type) and not typing.get_args(expected) else str(expected)
    )


def _generic_decoder(expected: Any) -> _Decoder:
    origin = typing.get_origin(expected) or expected
    arguments = typing.get_args(expected)
    if origin is dict or origin is Mapping:
        if arguments and arguments[0] is not str:
            raise PayloadError(f"{name_of(expected)}: JSON has only strings as keys")
        return _dict_decoder(decoder_for(arguments[1]) if arguments else None)
    if origin is list:
        return _list_decoder(decoder_for(arguments[0]) if arguments else None)
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        items = _list_decoder(decoder_for(arguments[0]))
        return lambda value, path: tuple(items(value, path))
    if origin in (typing.Union, UnionType):
        members = [member for member in arguments if member is not type(None)]
        if len(members) == 1:
            return _optional_decoder(decoder_for(members[0]))
    raise PayloadError(
        f"{name_of(expected)} is not a type of payloads: use a protobuf message, a dataclass, dict, list, "
        "tuple[X, ...], str, int, float, bool, an Enum, or X | None"
    )


def _dataclass_decoder(expected: Any) -> _Decoder:
    name = expected.__name__
    # Built at the first use, not here, because a dataclass may contain itself.
    plan: dict[str, _Decoder] = {}
    required: set[str] = set()

    def prepare() -> None:
        hints = typing.get_type_hints(expected)
        required.update(_required_fields(expected))
        plan.update({field: decoder_for(hints[field]) for field in _init_fields(expected)})

    def decode(value: Any, path: str) -> Any:
        if not plan:
            prepare()
        if type(value) is not dict:
            raise _unexpected(name, value, path)
        if unknown := value.keys() - plan.keys():
            raise PayloadError(f"{path}: unknown field {min(unknown)!r} of {name}")
        if missing := required - value.keys():
            raise PayloadError(f"{path}: missing field {min(missing)!r} of {name}")
        arguments = {key: plan[key](item, f"{path}.{key}") for key, item in value.items()}
        return _constructed(expected, arguments, path)

    return decode


def _constructed(expected: type[Any], arguments: dict[str, Any], path: str) -> Any:
    try:
        return expected(**arguments)
    except (TypeError, ValueError) as error:
        # A __post_init__ that does not accept the values: bad data, not a bug of the handler's.
        raise PayloadError(
            f"{path}: {expected.__name__} does not accept these values ({type(error).__name__})"
        ) from error


def _enum_decoder(expected: type[enum.Enum]) -> _Decoder:
    def decode(value: Any, path: str) -> Any:
        try:
            return expected(value)
        except ValueError as error:
            raise PayloadError(f"{path}: not a value of {expected.__name__}") from error

    return decode


def _dict_decoder(items: _Decoder | None) -> _Decoder:
    def decode(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise _unexpected("dict", value, path)
        if items is None:
            return value
        return {key: items(item, f"{path}.{key}") for key, item in value.items()}

    return decode


def _list_decoder(items: _Decoder | None) -> _Decoder:
    def decode(value: Any, path: str) -> Any:
        if type(value) is not list:
            raise _unexpected("list", value, path)
        if items is None:
            return value
        return [items(item, f"{path}[{index}]") for index, item in enumerate(value)]

    return decode


def _optional_decoder(inner: _Decoder) -> _Decoder:
    return lambda value, path: None if value is None else inner(value, path)


def _scalar_decoder(expected: type) -> _Decoder:
    def decode(value: Any, path: str) -> Any:
        if type(value) is not expected:
            raise _unexpected(expected.__name__, value, path)
        return value

    return decode


def _decode_float(value: Any, path: str) -> float:
    if type(value) is not float and type(value) is not int:
        raise _unexpected("float", value, path)
    return float(value)


def _decode_none(value: Any, path: str) -> None:
    if value is not None:
        raise _unexpected("None", value, path)


_SCALARS: Final[dict[Any, _Decoder]] = {
    str: _scalar_decoder(str),
    int: _scalar_decoder(int),
    bool: _scalar_decoder(bool),
    float: _decode_float,
}


@lru_cache(maxsize=1024)
def _init_fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)


def _required_fields(kind: type[Any]) -> set[str]:
    missing = dataclasses.MISSING
    return {
        field.name
        for field in dataclasses.fields(kind)
        if field.init and field.default is missing and field.default_factory is missing
    }


def _checked_int(value: int, path: str) -> int:
    if abs(value) > INTEGER_MAX:
        raise PayloadError(
            f"{_at(path)}: an integer beyond 2**53 loses digits in JSON; pass it as a string, "
            "or use a protobuf message"
        )
    return value


def _checked_float(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise PayloadError(f"{_at(path)}: JSON has no infinity and no NaN")
    return value


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise PayloadError(f"{path}: JSON has only strings as keys, not {type(key).__name__}")
    return str(key)


def _at(path: str) -> str:
    return path or "value"


def _unexpected(expected: str, value: Any, path: str) -> PayloadError:
    return PayloadError(f"{path}: expected {expected}, found {type(value).__name__}")
