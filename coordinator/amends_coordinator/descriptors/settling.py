"""Requests that come out alike each time.

The order of a map's entries in bytes is nobody's promise. protobuf can be told to sort them, but not those
within an Any, which is bytes already.
"""

from typing import Any

from google.protobuf import any_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import EncodeError, Message

from amends_coordinator.descriptors.types import Types, WrongPayloadError

_ANY = any_pb2.Any.DESCRIPTOR.full_name


def reaches_any(message: Descriptor) -> bool:
    """Whether there may be an Any in a message, or in one that is in it."""
    seen, waiting = {message.full_name}, [message]
    while waiting:
        kind = waiting.pop()
        if kind.full_name == _ANY:
            return True
        for field in kind.fields:
            if field.message_type is not None and field.message_type.full_name not in seen:
                seen.add(field.message_type.full_name)
                waiting.append(field.message_type)
    return False


def settle(message: Message, types: Types) -> None:
    """Gives the content of every Any in a message, where its type is known, the encoding that equals have."""
    if message.DESCRIPTOR.full_name == _ANY:
        _settle_any(message, types)
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for key in value:
                    settle(value[key], types)
        elif field.is_repeated:
            for each in value:
                settle(each, types)
        else:
            settle(value, types)


def _settle_any(payload: Any, types: Types) -> None:
    name = payload.type_url.rpartition("/")[2]
    if types.message(name) is None:
        return
    try:
        content = types.parse(name, payload.value)
        settle(content, types)
        payload.value = content.SerializeToString(deterministic=True)
    except (WrongPayloadError, EncodeError):
        return  # its bytes are its own
