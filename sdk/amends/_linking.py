"""Descriptors as they travel, linked into types."""

from collections.abc import Iterator

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

_STANDARD = (
    any_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
    descriptor_pb2,
)

STANDARD_FILES = frozenset(module.DESCRIPTOR.name for module in _STANDARD)
"""Files that need not be sent: every set of types has them."""


class UnusableDescriptorsError(Exception):
    """Files that do not make a whole; the message says which, and why."""


def linked(files: descriptor_pb2.FileDescriptorSet) -> descriptor_pool.DescriptorPool:
    """Links files, in whatever order they are, into a pool of their own.

    protobuf's own files (google/protobuf/...) belong to every pool, in the version that comes with it.

    Raises:
        UnusableDescriptorsError: one of them contradicts another, or imports one that is missing.
    """
    pool = descriptor_pool.DescriptorPool()
    for module in _STANDARD:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in _in_order(files):
        try:
            pool.Add(file)
        except TypeError as error:
            raise UnusableDescriptorsError(f"{file.name} cannot be linked: {error}") from error
    return pool


def _in_order(files: descriptor_pb2.FileDescriptorSet) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    """Puts every file after those that it imports."""
    waiting = {file.name: file for file in files.file if file.name not in STANDARD_FILES}
    done = set(STANDARD_FILES)
    while waiting:
        ready = [file for file in waiting.values() if done.issuperset(file.dependency)]
        if not ready:
            raise UnusableDescriptorsError(_why_stuck(waiting, done))
        for file in ready:
            yield waiting.pop(file.name)
            done.add(file.name)


def _why_stuck(waiting: dict[str, descriptor_pb2.FileDescriptorProto], done: set[str]) -> str:
    for file in waiting.values():
        for imported in file.dependency:
            if imported not in done and imported not in waiting:
                return f"{file.name} imports {imported}, which is missing; send all imports along"
    return f"files import each other in a circle: {', '.join(sorted(waiting))}"
