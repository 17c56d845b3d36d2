"""What of a description decides how messages are read and written; the rest is pared off.

What is left is small, since every saga carries it. And the same message looks the same, from whatever
language's server the description comes: some leave out names in JSON and options that others have.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from amends._linking import UnusableDescriptorsError
from amends_coordinator.bindings.names import full_name

_JSON_CONFLICTS = "deprecated_legacy_json_field_conflicts"
"""Allows what would be refused of names that are alike in JSON."""


def pare(file: FileDescriptorProto) -> None:
    """Pares a file down."""
    _clear(file, "source_code_info", "extension", "public_dependency", "weak_dependency")
    _keep_options(file, "features")
    for message in file.message_type:
        _pare_message(message)
    for enum in file.enum_type:
        _pare_enum(enum)
    for service in file.service:
        _keep_options(service)
        for method in service.method:
            _keep_options(method)


def _pare_message(message: DescriptorProto) -> None:
    _clear(message, "extension", "reserved_range", "reserved_name")
    _keep_options(message, "features", "map_entry", "message_set_wire_format", _JSON_CONFLICTS)
    if not message.options.message_set_wire_format:  # which is empty without what may extend it
        _clear(message, "extension_range")
    for extended in message.extension_range:
        _clear(extended, "options")
    for field in message.field:
        if field.json_name == _json_name(field.name):
            _clear(field, "json_name")
        _keep_options(field, "features", *(["packed"] if field.label == field.LABEL_REPEATED else []))
    for oneof in message.oneof_decl:
        _keep_options(oneof)
    for enum in message.enum_type:
        _pare_enum(enum)
    for nested in message.nested_type:
        _pare_message(nested)


def _pare_enum(enum: EnumDescriptorProto) -> None:
    _clear(enum, "reserved_range", "reserved_name")
    _keep_options(enum, "features", "allow_alias", _JSON_CONFLICTS)
    for value in enum.value:
        _keep_options(value)


def _clear(described: Any, *fields: str) -> None:
    for field in fields:
        described.ClearField(field)


def _keep_options(described: Any, *names: str) -> None:
    """Keeps these options, as far as they are set; of features, those that every language has."""
    options = type(described.options)()
    for name in names:
        if name == "features" and described.options.HasField(name):
            options.features.CopyFrom(described.options.features)
            options.features.DiscardUnknownFields()
        elif described.options.HasField(name):
            setattr(options, name, getattr(described.options, name))
    described.ClearField("options")
    if options.ByteSize():
        described.options.CopyFrom(options)


def _json_name(name: str) -> str:
    """What a field is called in JSON if nothing else is said."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


def check_compilable(file: FileDescriptorProto) -> None:
    """Makes sure of what compilers see to, and Python does not: CEL takes no file that is otherwise.

    It would not say so, but that it knows none of the file's messages.

    Raises:
        UnusableDescriptorsError: a file is not as compilers write them.
    """
    for message in file.message_type:
        _check_message(file, full_name(file, message.name), message)
    _check_enums(full_name(file, "").rstrip("."), file.enum_type)


def _check_message(file: FileDescriptorProto, name: str, message: DescriptorProto) -> None:
    groups = [field.name for field in message.field if field.type == FieldDescriptorProto.TYPE_GROUP]
    if groups and file.syntax == "proto3":
        raise _unlike(f"{name}.{groups[0]}", "is a group, which proto3 has none of")
    oneofs = [each for each, _ in groupby(_oneof(field) for field in message.field) if each is not None]
    if len(oneofs) != len(set(oneofs)):
        raise _unlike(name, "has other fields between those of a oneof")
    _check_enums(name, message.enum_type)
    for nested in message.nested_type:
        _check_message(file, f"{name}.{nested.name}", nested)


def _check_enums(scope: str, enums: Iterable[EnumDescriptorProto]) -> None:
    for enum in enums:
        numbers: dict[int, str] = {}
        for value in () if enum.options.allow_alias else enum.value:
            other = numbers.setdefault(value.number, value.name)
            if other != value.name:
                why = f"gives {other} and {value.name} the same number, but does not say allow_alias"
                raise _unlike(f"{scope}.{enum.name}", why)


def _oneof(field: FieldDescriptorProto) -> int | None:
    return field.oneof_index if field.HasField("oneof_index") else None


def _unlike(name: str, why: str) -> UnusableDescriptorsError:
    return UnusableDescriptorsError(f"{name.removeprefix('.')} {why}, as no compiler writes it")
