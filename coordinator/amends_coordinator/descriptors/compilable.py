"""What compilers see to in files, and Python's protobuf does not.

CEL takes no file that is otherwise, and does not say so, but only that it knows none of its messages.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from amends._linking import UnusableDescriptorsError
from amends_coordinator.descriptors.names import full_name


def check_compilable(file: FileDescriptorProto) -> None:
    """Makes sure of what decides in a pared file whether CEL takes it.

    Raises:
        UnusableDescriptorsError: it is not as compilers write files.
    """
    for message in file.message_type:
        _check_message(file, full_name(file, message.name), message)
    for enum in file.enum_type:
        _check_enum(file, full_name(file, enum.name), enum)


def _check_message(file: FileDescriptorProto, name: str, message: DescriptorProto) -> None:
    groups = [field.name for field in message.field if field.type == FieldDescriptorProto.TYPE_GROUP]
    if groups and file.syntax == "proto3":
        raise _unlike(f"{name}.{groups[0]}", "is a group, which proto3 has none of")
    oneofs = [each for each, _ in groupby(_oneof(field) for field in message.field) if each is not None]
    if len(oneofs) != len(set(oneofs)):
        raise _unlike(name, "has other fields between those of a oneof")
    twice = [member for member, count in Counter(_members(message)).items() if count > 1]
    if twice:
        raise _unlike(name, f"has two things called {twice[0]}")
    entries = {field.type_name: f"{_pascal(field.name)}Entry" for field in message.field}
    for nested in message.nested_type:
        within = f"{name}.{nested.name}"
        if nested.options.map_entry and entries.get(within, nested.name) != nested.name:
            raise _unlike(within, f"holds the entries of a map, but is not called {entries[within]}")
        _check_message(file, within, nested)
    for enum in message.enum_type:
        _check_enum(file, f"{name}.{enum.name}", enum)


def _check_enum(file: FileDescriptorProto, name: str, enum: EnumDescriptorProto) -> None:
    numbers: dict[int, str] = {}
    short: dict[str, EnumValueDescriptorProto] = {}
    for value in enum.value:
        other = numbers.setdefault(value.number, value.name)
        if other != value.name and not enum.options.allow_alias:
            why = f"gives {other} and {value.name} the same number, but does not say allow_alias"
            raise _unlike(name, why)
        alike = short.setdefault(_short(enum.name, value.name), value)
        if alike.number != value.number and not (_tolerant(enum) and file.syntax in ("", "proto2")):
            why = f"gives {alike.name} and {value.name} other numbers, which are alike without its own name"
            raise _unlike(name, why)


def _tolerant(enum: EnumDescriptorProto) -> bool:
    return enum.options.deprecated_legacy_json_field_conflicts


def _short(enum: str, value: str) -> str:
    """A value's name as languages shorten it: without that of its enum before it, in capitals and small."""
    prefix, rest = enum.replace("_", "").lower(), value
    for letter in prefix:
        rest = rest.lstrip("_")
        if rest[:1].lower() != letter:
            return _pascal(value.lower())
        rest = rest[1:]
    return _pascal((rest if rest.strip("_") else value).lower())


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _members(message: DescriptorProto) -> Iterator[str]:
    """The names of all within a message; the values of an enum lie beside it."""
    yield from (field.name for field in message.field)
    yield from (oneof.name for oneof in message.oneof_decl)
    yield from (nested.name for nested in message.nested_type)
    for enum in message.enum_type:
        yield enum.name
        yield from (value.name for value in enum.value)


def _oneof(field: FieldDescriptorProto) -> int | None:
    return field.oneof_index if field.HasField("oneof_index") else None


def _unlike(name: str, why: str) -> UnusableDescriptorsError:
    return UnusableDescriptorsError(f"{name.removeprefix('.')} {why}, as no compiler writes it")
