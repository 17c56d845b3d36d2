"""How Python values travel: every payload is a google.protobuf.Any.

A protobuf message travels as itself; a dataclass and a dict as a Struct; any other JSON value as a
Value; None as an Any that is not set. This module knows the wire; `_json` knows dataclasses.

Both directions are on the hot path of every call, so what depends only on a type is worked out once
per type and kept.
"""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar, cast, overload

from google.protobuf import any_pb2, json_format, struct_pb2
from google.protobuf.message import DecodeError, Message

from amends import _json
from amends.errors import PayloadError

T = TypeVar("T")

_URL_PREFIX: Final = "type.googleapis.com/"
_STRUCT: Final = "google.protobuf.Struct"
_VALUE: Final = "google.protobuf.Value"
_LIST: Final = "google.protobuf.ListValue"

_Decoder = Callable[[any_pb2.Any], Any]


def pack(value: object) -> any_pb2.Any:
    """Turns a value into a payload. An Any is taken as the payload it already is.

    Raises:
        PayloadError: the value holds something that neither protobuf nor JSON can say.
    """
    if isinstance(value, any_pb2.Any):
        return value
    if isinstance(value, Message):
        return _packed(value)
    if value is None:
        return any_pb2.Any()
    plain = _json.to_json(value)
    try:
        return _packed(_struct_of(plain) if isinstance(plain, dict) else _value_of(plain))
    except UnicodeEncodeError as error:
        raise PayloadError("a text holds half of a character, a lone surrogate: no Unicode") from error


def digest(payload: any_pb2.Any) -> bytes:
    """Returns the SHA-256 of a payload's type and bytes: what a fence knows an input by."""
    return hashlib.sha256(f"{payload.type_url}\0".encode() + payload.value).digest()


@overload
def unpack(payload: any_pb2.Any, expected: type[T]) -> T: ...
@overload
def unpack(payload: any_pb2.Any, expected: Any) -> Any: ...
def unpack(payload: any_pb2.Any, expected: Any) -> Any:
    """Turns a payload into a value of the expected type.

    Args:
        payload: the payload; one that is not set stands for None.
        expected: a protobuf message class, a dataclass, or a JSON type such as `dict[str, int]`,
            `list`, `str`, `X | None`; `any_pb2.Any` takes the payload itself, `typing.Any` whatever
            JSON says.

    Raises:
        PayloadError: the payload holds another type, or does not fit; names expected and found.
    """
    return decoder_for(expected)(payload)


@lru_cache(maxsize=1024)
def decoder_for(expected: Any) -> _Decoder:
    """Returns what `unpack` applies for a type.

    Raises:
        PayloadError: no payload can have this type.
    """
    inner, optional = without_none(expected)
    if inner is any_pb2.Any:
        return lambda payload: payload
    if inner is None:
        return _decode_none
    if is_message(inner):
        return _message_decoder(inner, optional=optional)
    return _json_decoder(inner, optional=optional)


def type_name(expected: Any) -> str:
    """Names the protobuf type that values of a Python type travel as; "" where any type may.

    Raises:
        PayloadError: no payload can have this type.
    """
    inner, _ = without_none(expected)
    if inner is any_pb2.Any or inner is None:
        return ""
    if is_message(inner):
        return cast("str", inner.DESCRIPTOR.full_name)
    _json.decoder_for(inner)
    return _STRUCT if _json.is_object(inner) else _VALUE


def is_message(expected: Any) -> bool:
    """Tells whether a type is a protobuf message class."""
    return isinstance(expected, type) and issubclass(expected, Message)


def without_none(expected: Any) -> tuple[Any, bool]:
    """Splits `X | None` into X and True; any other type into itself and False; None into None and True."""
    if expected is None or expected is type(None):
        return None, True
    if typing.get_origin(expected) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(expected) if member is not type(None)]
        if len(members) == 1:
            return members[0], True
    return expected, False


def _packed(message: Message) -> any_pb2.Any:
    # Deterministic, so that equal values make equal payloads: fences and idempotent starts compare bytes.
    return any_pb2.Any(
        type_url=_URL_PREFIX + message.DESCRIPTOR.full_name,
        value=message.SerializeToString(deterministic=True),
    )


def _found(payload: any_pb2.Any) -> str:
    return payload.type_url.rpartition("/")[2] or "no payload"


def _mismatch(expected: str, payload: any_pb2.Any) -> PayloadError:
    return PayloadError(f"expected {expected}, found {_found(payload)}")


def _decode_none(payload: any_pb2.Any) -> None:
    if payload.type_url and _plain(payload, "None") is not None:
        raise _mismatch("no payload", payload)


def _message_decoder(expected: type[Message], *, optional: bool) -> _Decoder:
    name = expected.DESCRIPTOR.full_name
    url = _URL_PREFIX + name
    parse = expected.FromString

    def decode(payload: any_pb2.Any) -> Message | None:
        found = payload.type_url
        if found != url and found.rpartition("/")[2] != name:
            if optional and not found:
                return None
            if _found(payload) == _STRUCT:
                return _message_from_json(expected, _plain(payload, name))
            raise _mismatch(name, payload)
        try:
            return parse(payload.value)
        except DecodeError as error:
            raise PayloadError(f"the payload says it is {name}, but cannot be parsed as one") from error

    return decode


def _message_from_json(expected: type[Message], fields: dict[str, Any]) -> Message:
    """Reads a message from its JSON form, which is what a saga started from a shell carries."""
    try:
        return json_format.ParseDict(fields, expected())
    except json_format.ParseError as error:
        name = expected.DESCRIPTOR.full_name
        raise PayloadError(
            f"expected {name}, found {_STRUCT}, which is no JSON form of it: {error}"
        ) from error


def _json_decoder(expected: Any, *, optional: bool) -> _Decoder:
    convert = _json.decoder_for(expected)
    name = _json.name_of(expected)

    def decode(payload: any_pb2.Any) -> Any:
        plain = _plain(payload, name) if payload.type_url else None
        if plain is None and optional:
            return None
        if not payload.type_url and expected is not Any:
            raise _mismatch(name, payload)
        return convert(plain, name)

    return decode


def _plain(payload: any_pb2.Any, expected: str) -> Any:
    """The JSON value in a payload."""
    found = _found(payload)
    try:
        if found == _STRUCT:
            return _plain_fields(struct_pb2.Struct.FromString(payload.value))
        if found == _VALUE:
            return _plain_value(struct_pb2.Value.FromString(payload.value))
        if found == _LIST:
            return [_plain_value(item) for item in struct_pb2.ListValue.FromString(payload.value).values]
    except DecodeError as error:
        raise PayloadError(f"the payload says it is {found}, but cannot be parsed as one") from error
    raise _mismatch(f"{expected} (a {_STRUCT} or {_VALUE})", payload)


def _plain_fields(struct: struct_pb2.Struct) -> dict[str, Any]:
    return {key: _plain_value(value) for key, value in struct.fields.items()}


def _plain_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        # JSON knows one kind of number; whoever wrote 3 should read 3 and not 3.0.
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= _json.INTEGER_MAX else number
    if kind == "struct_value":
        return _plain_fields(value.struct_value)
    if kind == "list_value":
        return [_plain_value(item) for item in value.list_value.values]
    if kind == "bool_value":
        return value.bool_value
    return None


def _struct_of(fields: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    for key, item in fields.items():
        _fill(struct.fields[key], item)
    return struct


def _value_of(plain: Any) -> struct_pb2.Value:
    value = struct_pb2.Value()
    _fill(value, plain)
    return value


def _fill(value: struct_pb2.Value, plain: Any) -> None:
    kind = type(plain)
    if kind is str:
        value.string_value = plain
    elif kind is bool:
        value.bool_value = plain
    elif kind is int or kind is float:
        value.number_value = plain
    elif plain is None:
        value.null_value = struct_pb2.NULL_VALUE
    elif kind is dict:
        value.struct_value.SetInParent()
        fields = value.struct_value.fields
        for key, item in plain.items():
            _fill(fields[key], item)
    else:
        value.list_value.SetInParent()
        values = value.list_value.values
        for item in plain:
            _fill(values.add(), item)
