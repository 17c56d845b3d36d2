"""Messages as JSON for programs: protobuf's own mapping, with payloads made readable.

A payload is an Any, which the mapping can only write where its type is known. Here a Struct, Value or
ListValue becomes the JSON that it stands for, a message of a type that the saga's definition describes its
JSON form, and any other payload `{"type": ..., "base64": ...}`, so that nothing has to be known. Descriptors
are for compilers, and are written as the bytes that these read.
"""

import base64
import json
from collections.abc import Callable
from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pb2, json_format, struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from amends._linking import UnusableDescriptorsError
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.contract.values import payload_from_proto
from amends_coordinator.descriptors.types import Types, WrongPayloadError

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


def to_line(message: Message, types: Types | None = None) -> str:
    """Returns a message as one line of JSON; fields that are not set are left out.

    `types` are those that payloads in it may have; a saga brings its own.
    """
    if isinstance(message, saga_pb2.Saga):
        types = _types_of(message.definition)
    return json.dumps(_Writer(types).message(message), ensure_ascii=False)


def payload_to_json(payload: any_pb2.Any, types: Types | None = None) -> Any:
    """Returns a payload as the JSON it stands for, or as its type and bytes."""
    name = payload.type_url.rpartition("/")[2]
    if name in _JSON_TYPES:
        try:
            return json_format.MessageToDict(_JSON_TYPES[name].FromString(payload.value))
        except (DecodeError, json_format.Error):
            pass  # Not what it says it is; its bytes are shown as they are.
    try:
        if types is not None:
            message = types.read(payload_from_proto(payload))
            return json_format.MessageToDict(message, descriptor_pool=types.pool)
    except (WrongPayloadError, json_format.Error, TypeError, ValueError):
        # TypeError: there is an Any within whose type is not known. ValueError: there is a Timestamp or the
        # like that JSON cannot say.
        pass
    return {"type": name, "base64": _base64(payload.value)}


def _types_of(definition: saga_pb2.Definition) -> Types | None:
    """The types that a definition describes; None where it describes none, or none that can be read here."""
    if not definition.descriptors.file:
        return None
    try:
        return Types(definition.descriptors)
    except UnusableDescriptorsError:
        return None


class EventLines:
    """Events of one saga as lines of JSON. The first has the definition, which describes the types of all."""

    def __init__(self) -> None:
        self._types: Types | None = None

    def line(self, event: event_pb2.Event) -> str:
        """Returns an event as one line of JSON."""
        if event.HasField("saga_started"):
            self._types = _types_of(event.saga_started.definition)
        return to_line(event, self._types)


class _Writer:
    """Turns messages into what JSON can say."""

    def __init__(self, types: Types | None) -> None:
        self._types = types

    def message(self, message: Message) -> Any:
        """Returns a message as protobuf's mapping has it, but for payloads and descriptors."""
        if isinstance(message, any_pb2.Any):
            return payload_to_json(message, self._types)
        if isinstance(message, descriptor_pb2.FileDescriptorSet):
            return _base64(message.SerializeToString(deterministic=True))
        if message.DESCRIPTOR.full_name in _LEAVES:
            return json.loads(json_format.MessageToJson(message))
        return {field.json_name: self._field(field, value) for field, value in message.ListFields()}

    def _field(self, field: FieldDescriptor, value: Any) -> Any:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            convert = self._converter(entry.fields_by_name["value"])
            return {str(key): convert(value[key]) for key in sorted(value)}
        convert = self._converter(field)
        return [convert(item) for item in value] if field.is_repeated else convert(value)

    def _converter(self, field: FieldDescriptor) -> Callable[[Any], Any]:
        if field.message_type is not None:
            return self.message
        enum = field.enum_type
        if enum is not None:
            names = {number: value.name for number, value in enum.values_by_number.items()}
            return lambda number: names.get(number, number)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return _base64
        # As in protobuf's mapping, for readers whose numbers are doubles.
        return str if field.cpp_type in _LARGE else _same


def _same(value: Any) -> Any:
    return value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
