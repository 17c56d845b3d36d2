"""What of a description decides how messages are read and written; the rest is pared off.

What is left is small, since every saga carries it. And the same message looks the same, from whatever
language's server the description comes: some leave out names in JSON and options that others have.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

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
