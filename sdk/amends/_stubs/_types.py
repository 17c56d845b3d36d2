"""The message types of all files that came with a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from amends._stubs import _names as names
from amends._stubs._model import MessageType


def message_types(files: Iterable[FileDescriptorProto]) -> dict[str, MessageType]:
    """Returns every message type by its full name."""
    return {
        message.full_name: message
        for file in files
        for message in _in_scope(file, file.package, "", file.message_type)
    }


def _in_scope(
    file: FileDescriptorProto, scope: str, outer: str, messages: Iterable[DescriptorProto]
) -> Iterator[MessageType]:
    module = names.module_of(file.name, "_pb2")
    for message in messages:
        full_name = f"{scope}.{message.name}" if scope else message.name
        name = f"{outer}.{message.name}" if outer else message.name
        yield MessageType(full_name, module, name, tuple(map(_message_type, message.field)))
        yield from _in_scope(file, full_name, name, message.nested_type)


def _message_type(field: FieldDescriptorProto) -> str:
    """The full name of a field's type, where it is a single message."""
    single = field.label != FieldDescriptorProto.LABEL_REPEATED
    is_message = field.type == FieldDescriptorProto.TYPE_MESSAGE
    return field.type_name.removeprefix(".") if single and is_message else ""
