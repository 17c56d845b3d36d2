"""Descriptors of services and messages, from whatever describes them, as the set that the contracts have."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError, Message

from amends._definition._checks import shown
from amends._linking import STANDARD_FILES, UnusableDescriptorsError, by_name
from amends.errors import Problem

MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a set: what gRPC takes in one message by default, and a few thousand message types."""

MAX_TOLD: Final = 20
"""Imports that are told to be missing: a set without any of its imports lacks hundreds."""

Source: TypeAlias = ModuleType | FileDescriptor | type[Message]
"""What knows the file that describes it: a generated module, a file's descriptor, a message class."""

Descriptors: TypeAlias = FileDescriptorSet | bytes | Iterable[Source]
"""What a definition takes as descriptors."""


def read(path: Path, problems: list[Problem]) -> bytes:
    """Returns the descriptors in a file. What is none becomes a problem.

    Raises:
        OSError: the file cannot be read.
        ValueError: no file can have this name.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if not content:
        problems.append(Problem(description="names an empty file", field="descriptors"))
    elif len(content) > MAX_BYTES:
        text = f"names a file that is larger than {MAX_BYTES >> 20} MiB"
        problems.append(Problem(description=text, field="descriptors"))
        return b""
    return serialize(content, problems)


def serialize(value: object, problems: list[Problem]) -> bytes:
    """Returns descriptors as a serialized set; none at all as no bytes. What is none becomes a problem."""
    if value is None or value == b"":
        return b""
    found = FileDescriptorSet()
    try:
        if isinstance(value, bytes):
            found.MergeFromString(value)
        else:
            found.file.extend(_files(value))
    except _NoDescriptorsError as error:
        wrong = [str(error)]
    except DecodeError:
        wrong = ["is no FileDescriptorSet, as protoc --descriptor_set_out and buf build write it"]
    else:
        wrong = _faults(found)
    if wrong:
        problems += [Problem(description=text, field="descriptors") for text in wrong]
        return b""
    for file in found.file:
        file.ClearField("source_code_info")  # comments and lines, which are most of what buf writes
    return found.SerializeToString(deterministic=True)


class _NoDescriptorsError(Exception):
    """A value is not what descriptors are made of."""


def _files(value: object) -> Iterator[FileDescriptorProto]:
    """The files of a set, or of everything that is listed, each once, its imports before it."""
    if isinstance(value, FileDescriptorSet):
        yield from value.file
        return
    if isinstance(value, str | Message) or not isinstance(value, Iterable):
        raise _NoDescriptorsError(
            f"is {shown(value)}, but must be a FileDescriptorSet, the bytes of one, or a list of generated "
            "modules, file descriptors or message classes"
        )
    seen: set[str] = set()
    for item in value:
        described = getattr(item, "DESCRIPTOR", item)
        file = getattr(described, "file", described)
        if not isinstance(file, FileDescriptor):
            raise _NoDescriptorsError(
                f"holds {shown(item)}, which is no generated module, file descriptor or message class"
            )
        yield from _with_imports(file, seen)


def _with_imports(file: FileDescriptor, seen: set[str]) -> Iterator[FileDescriptorProto]:
    if file.name in seen:
        return
    seen.add(file.name)
    for imported in file.dependencies:
        yield from _with_imports(imported, seen)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    yield proto


def _faults(found: FileDescriptorSet) -> list[str]:
    """What keeps a set from describing anything."""
    if not found.file:
        return ["holds no file"]
    if not all(file.name for file in found.file):
        return ["holds a file without a name, and so is no FileDescriptorSet of a compiler's"]
    size = found.ByteSize()
    if size > MAX_BYTES:
        return [f"takes {size} bytes, but may take {MAX_BYTES}"]
    try:
        names = STANDARD_FILES | by_name(found).keys()
    except UnusableDescriptorsError as error:
        return [f"cannot be used: {error}"]
    missing = dict.fromkeys(
        (name, file.name) for file in found.file for name in file.dependency if name not in names
    )
    return [
        f"has no {shown(name)}, which {shown(importer)} imports; protoc adds it with --include_imports"
        for name, importer in list(missing)[:MAX_TOLD]
    ]
