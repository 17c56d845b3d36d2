"""The full names of what files describe, as fields and methods speak of it: with a dot before."""

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto


def full_name(file: FileDescriptorProto, name: str) -> str:
    """The name of a message, enum or service at a file's top."""
    return f".{file.package}.{name}" if file.package else f".{name}"


def names_within(name: str, message: DescriptorProto) -> Iterator[str]:
    """A message's full name, and those of all messages and enums within it."""
    yield name
    for enum in message.enum_type:
        yield f"{name}.{enum.name}"
    for nested in message.nested_type:
        yield from names_within(f"{name}.{nested.name}", nested)


def names_used(message: DescriptorProto) -> Iterator[str]:
    """The types of a message's fields, and of those of the messages within it."""
    for field in message.field:
        if field.type_name:
            yield field.type_name
    for nested in message.nested_type:
        yield from names_used(nested)
