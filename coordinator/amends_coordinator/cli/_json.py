"""Messages as JSON for programs: protobuf's own mapping, with payloads made readable.

A payload is an Any, which the mapping can only write where its type is known. Here a Struct, Value or
ListValue becomes the JSON that it stands for, and any other payload `{"type": ..., "base64": ...}`, so
that nothing is lost and nothing has to be known.
"""

import base64
import json
from collections.abc import Callable
from typing import Any, Final

from google.protobuf import any_pb2, json_format, struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

_JSON_TYPES: Final[dict[str, type[Message]]] = {
    kind.DESCRIPTOR.full_name: kind for kind in (struct_pb2.Struct, struct_pb2.Value, struct_pb2.ListValue)
}
_LEAVES: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})
_LARGE: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)


def to_json(message: Message) -> dict[str, Any]:
    """Returns a message as what JSON can say; fields that are not set are left out."""
    return {field.json_name: _field(field, value) for field, value in message.ListFields()}


def to_line(message: Message) -> str:
    """Returns a message as one line of JSON."""
    return json.dumps(to_json(message), ensure_ascii=False)


def payload_to_json(payload: any_pb2.Any) -> Any:
    """Returns a payload as the JSON it stands for, or as its type and bytes."""
    name = payload.type_url.rpartition("/")[2]
    if name in _JSON_TYPES:
        try:
            return json_format.MessageToDict(_JSON_TYPES[name].FromString(payload.value))
        except (DecodeError, json_format.Error):
            pass  # Not what it says it is; its bytes are shown as they are.
    return {"type": name, "base64": base64.b64encode(payload.value).decode("ascii")}


def _field(field: FieldDescriptor, value: Any) -> Any:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        convert = _converter(entry.fields_by_name["value"])
        return {str(key): convert(value[key]) for key in sorted(value)}
    convert = _converter(field)
    return [convert(item) for item in value] if field.is_repeated else convert(value)


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.message_type is not None:
        return _message
    enum = field.enum_type
    if enum is not None:
        names = {number: value.name for number, value in enum.values_by_number.items()}
        return lambda number: names.get(number, number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode("ascii")
    # As in protobuf's mapping, for readers whose numbers are doubles.
    return str if field.cpp_type in _LARGE else _same


def _same(value: Any) -> Any:
    return value


def _message(message: Message) -> Any:
    if isinstance(message, any_pb2.Any):
        return payload_to_json(message)
    if message.DESCRIPTOR.full_name in _LEAVES:
        return json.loads(json_format.MessageToJson(message))
    return to_json(message)
