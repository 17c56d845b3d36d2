"""Messages as the bodies of requests and answers: protobuf's own JSON mapping, with two additions.

Payloads are Any. The mapping writes only those whose type it knows: in a saga, also those that its definition
describes. The coordinator carries what others know; such a payload is shown by its type and bytes, as
`{"@type": ..., "base64": ...}`. And those that it reads are encoded in the one order that the SDK uses too:
the same input must be the same bytes each time, or the repetition of a start would seem another one (P10).
"""

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeVar

from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory, struct_pb2
from google.protobuf.message import DecodeError, Message

from amends._linking import UnusableDescriptorsError
from amends.v1 import saga_pb2
from amends_coordinator.core.checks import Violation
from amends_coordinator.descriptors.types import types_of
from amends_coordinator.runtime.errors import InvalidRequestError

MAX_BODY: Final = 2 << 20
"""Bytes of a request: an input at its limit of 1 MiB, with room for what JSON adds. Reading takes up to more
than a second per MiB, where gRPC takes some milliseconds; what is larger should go that way."""

BODY: Final = "body"
"""What stands for the field in a fault of the whole body."""

Path = tuple[str | int, ...]
M = TypeVar("M", bound=Message)

_KNOWN = struct_pb2.DESCRIPTOR.pool
"""The types of payloads that can be read: those that stand for JSON, and whatever else this process has."""


def read(body: bytes, kind: type[M]) -> M:
    """Reads a message of this kind.

    Raises:
        InvalidRequestError: it is no JSON, or none of this message.
    """
    if not body.lstrip().startswith(b"{"):
        raise _fault(kind, "it is no JSON object; send at least {}")
    message = kind()
    try:
        json_format.Parse(body, message, descriptor_pool=_KNOWN)
        _settle(message)
    except Exception as error:  # the mapping fails in many ways, all of which are the sender's doing
        raise _fault(kind, " ".join(str(error).split())) from error
    return message


def write(message: Message) -> bytes:
    """Writes a message, on one line."""
    bare = type(message)()
    bare.CopyFrom(message)
    pools = _pools(bare)
    shown = []
    for path, payload in _payloads(bare):
        shown.append((path, _shown(payload, pools)))
        payload.Clear()
    content = json_format.MessageToDict(bare)
    for path, value in shown:
        place: Any = content
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _fault(kind: type[Message], description: str) -> InvalidRequestError:
    name = kind.DESCRIPTOR.full_name
    return InvalidRequestError([Violation(BODY, f"cannot be read as {name}: {description}")])


def _settle(message: Message) -> None:
    """Gives every payload the one encoding that equal payloads have."""
    for _, payload in _payloads(message):
        if not payload.type_url:
            continue
        kind = _KNOWN.FindMessageTypeByName(payload.TypeName())
        content = message_factory.GetMessageClass(kind)()
        content.ParseFromString(payload.value)
        _settle(content)
        payload.value = content.SerializeToString(deterministic=True)


def _pools(message: Message) -> list[descriptor_pool.DescriptorPool]:
    """Where the types of payloads are looked for."""
    if isinstance(message, saga_pb2.Saga) and message.definition.HasField("descriptors"):
        with suppress(UnusableDescriptorsError):
            return [_KNOWN, types_of(message.definition.descriptors.SerializeToString()).pool]
    return [_KNOWN]


def _shown(payload: any_pb2.Any, pools: Iterable[descriptor_pool.DescriptorPool]) -> dict[str, Any]:
    """A payload by the mapping; where that does not know it, or finds something else, by its bytes."""
    for pool in pools:
        with suppress(TypeError, ValueError, DecodeError, json_format.Error):
            return json_format.MessageToDict(payload, descriptor_pool=pool)
    return {"@type": payload.type_url, "base64": base64.b64encode(payload.value).decode("ascii")}


def _payloads(message: Message, path: Path = ()) -> Iterator[tuple[Path, any_pb2.Any]]:
    """Yields the payloads in a message, each with its place in the message's JSON."""
    if isinstance(message, any_pb2.Any):
        yield path, message
        return
    for field, value in message.ListFields():
        here = (*path, field.json_name)
        kind = field.message_type
        if kind is None:
            continue
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None:
                for key in list(value):
                    yield from _payloads(value[key], (*here, str(key)))
        elif field.is_repeated:
            for number, item in enumerate(value):
                yield from _payloads(item, (*here, number))
        else:
            yield from _payloads(value, here)
