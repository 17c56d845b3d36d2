"""Descriptors as they travel, linked into types."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Final

from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
)
from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from google.protobuf.message import DecodeError, Message

# Each after what it imports.
_STANDARD = (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
    type_pb2,
    api_pb2,
    plugin_pb2,
)

STANDARD_FILES = frozenset(module.DESCRIPTOR.name for module in _STANDARD)
"""Files that need not be sent: every set of types has them. protobuf comes with them, also in the oldest
release that is taken."""

MAX_FILES: Final = 2_000
"""Files of a set: the largest public API has fewer. Smaller ones would let a request of a few megabytes hold
hundreds of thousands, each of which takes time and memory of its own."""

MAX_NAME: Final = 512
"""Characters of a message's or service's full name, as in the contracts. Whatever is within it has a name
that begins with that, so that a few megabytes with long names would become gigabytes."""

MAX_SHOWN: Final = 200
"""Characters told of a file's name: it can be as long as the set."""

MAX_CIRCLE: Final = 10
"""Files told of those that import each other."""


class UnusableDescriptorsError(Exception):
    """Files that do not make a whole; the message says which, and why."""


def linked(files: FileDescriptorSet) -> descriptor_pool.DescriptorPool:
    """Links files, in whatever order they are, into a pool of their own.

    protobuf's own files (google/protobuf/...) belong to every pool, in the version that comes with it.

    Raises:
        UnusableDescriptorsError: there are too many, one of them contradicts another, imports one that is
            missing, or cannot be read.
    """
    pool = descriptor_pool.DescriptorPool()
    for module in _STANDARD:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in _in_order(by_name(files)):
        try:
            pool.Add(file)
        except TypeError as error:
            why = str(error).removeprefix("Couldn't build proto file into descriptor pool: ")
            raise UnusableDescriptorsError(
                f"{shown(file.name)} cannot be linked: {why[:MAX_SHOWN]}"
            ) from error
    return pool


def by_name(files: FileDescriptorSet) -> dict[str, FileDescriptorProto]:
    """Files by their names, without those that need not be sent.

    Raises:
        UnusableDescriptorsError: there are too many, two of one name differ, one cannot be read, or describes
            what has too long a name.
    """
    if len(files.file) > MAX_FILES:
        raise UnusableDescriptorsError(f"there are {len(files.file)} files, but may be {MAX_FILES}")
    found: dict[str, FileDescriptorProto] = {}
    for file in files.file:
        _check_texts(file)
        if not file.name:
            raise UnusableDescriptorsError("there is a file without a name")
        _check_lengths(file.name, len(file.package), (*file.message_type, *file.service))
        if file.name not in STANDARD_FILES and found.setdefault(file.name, file) != file:
            raise UnusableDescriptorsError(f"{shown(file.name)} is there twice, and not the same")
    return found


def _check_texts(file: FileDescriptorProto) -> None:
    """Makes sure that what should be text in a file is text.

    protobuf reads any bytes as the strings of a file, and gives them as bytes where they are no UTF-8.

    Raises:
        UnusableDescriptorsError: it is not.
    """
    try:
        _strict().FromString(file.SerializeToString())
    except DecodeError as error:
        raise UnusableDescriptorsError(f"{shown(file.name)} has a text that is no UTF-8") from error


def _check_lengths(
    file_name: str, around: int, described: Iterable[DescriptorProto | ServiceDescriptorProto]
) -> None:
    for each in described:
        length = around + 1 + len(each.name)
        if length > MAX_NAME:
            why = f"has a name of {length} characters, but may have {MAX_NAME}"
            raise UnusableDescriptorsError(f"{shown(each.name)} in {shown(file_name)} {why}")
        if isinstance(each, DescriptorProto):
            _check_lengths(file_name, length, each.nested_type)


def missing(imported: str, importer: str) -> str:
    """Tells of an import that is not there."""
    return f"{shown(importer)} imports {shown(imported)}, which is missing; send all imports along"


def shown(name: str | bytes) -> str:
    """A file's name in a sentence."""
    text = name if isinstance(name, str) else repr(name)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _in_order(files: Mapping[str, FileDescriptorProto]) -> Iterator[FileDescriptorProto]:
    """Puts every file after those that it imports."""
    imports: TopologicalSorter[str] = TopologicalSorter()
    for file in files.values():
        imports.add(file.name)
        for imported in file.dependency:
            if imported in files:
                imports.add(file.name, imported)
            elif imported not in STANDARD_FILES:
                raise UnusableDescriptorsError(missing(imported, file.name))
    try:
        return (files[name] for name in tuple(imports.static_order()))
    except CycleError as error:
        raise UnusableDescriptorsError(_circle(error.args[1])) from error


def _circle(names: list[str]) -> str:
    steps = [f"{shown(importer)} imports {shown(imported)}" for importer, imported in pairwise(names[::-1])]
    steps = [*steps[:MAX_CIRCLE], "and so on"] if len(steps) > MAX_CIRCLE else steps
    return f"files import each other in a circle: {', '.join(steps)}"


@cache
def _strict() -> type[Message]:
    """A message of the fields of a file, whose texts have to be UTF-8."""
    file = FileDescriptorProto()
    descriptor_pb2.DESCRIPTOR.CopyToProto(file)
    file.syntax, file.edition = "editions", descriptor_pb2.EDITION_2023  # in which texts are checked
    file.options.features.enum_type = descriptor_pb2.FeatureSet.CLOSED
    for message in file.message_type:
        _as_edition(message)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = pool.FindMessageTypeByName(FileDescriptorProto.DESCRIPTOR.full_name)
    return message_factory.GetMessageClass(kind)


def _as_edition(message: DescriptorProto) -> None:
    """Says in the words of an edition what proto2 has words for that editions lack."""
    for field in message.field:
        if field.label == field.LABEL_REQUIRED:
            field.label = field.LABEL_OPTIONAL
            field.options.features.field_presence = descriptor_pb2.FeatureSet.LEGACY_REQUIRED
        field.options.ClearField("packed")
    for nested in message.nested_type:
        _as_edition(nested)
