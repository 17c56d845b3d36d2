"""What several participants say of their types, put together."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from amends._linking import STANDARD_FILES, UnusableDescriptorsError, linked
from amends_coordinator.descriptors.names import full_name, names_used


def merged(said: Mapping[str, FileDescriptorSet]) -> FileDescriptorSet:
    """Puts together what participants say of their types, as it was cut down to what is kept.

    Their files may have names in common, since each company names its files as it likes, and the same message
    may come out of files of different names. What is described once already is left out, with the file if
    nothing else is in it; the rest of a file whose name is taken goes by another.

    Args:
        said: files of participants, by their names; each makes a whole.

    Raises:
        UnusableDescriptorsError: two of them describe the same thing differently.
    """
    together = _Together({file.name for files in said.values() for file in files.file})
    for participant, files in said.items():
        for file in files.file:
            together.add(participant, file)
    return together.files()


class _Described(NamedTuple):
    """What was said first of a message, an enum or a method."""

    participant: str
    content: DescriptorProto | EnumDescriptorProto | MethodDescriptorProto
    reading: tuple[object, ...]  # what else decides how messages are read


class _Together:
    """The files of those who have spoken.

    Invariant: messages are made only of those of files that came before, or of the same participant. So a
    file that is added later never makes earlier ones import it, and no circle can come of that.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._taken = {*names, *STANDARD_FILES}
        self._files: dict[str, FileDescriptorProto] = {}
        self._described: dict[str, _Described] = {}  # by full name, a method by SERVICE/METHOD
        self._homes = dict(_standard_homes())  # by what is at the top of a file, the name of that file
        self._services: dict[str, ServiceDescriptorProto] = {}  # by full name, as they are in their files
        self._several: dict[str, str] = {}  # the services that several describe, and the files they are in

    def add(self, participant: str, file: FileDescriptorProto) -> None:
        """Adds what is not there yet of a file."""
        rest = FileDescriptorProto()
        rest.CopyFrom(file)
        _empty(rest)
        rest.name = self._free(participant, file.name) if file.name in self._files else file.name
        self._add_tops(participant, rest, file.message_type, rest.message_type)
        self._add_tops(participant, rest, file.enum_type, rest.enum_type)
        for service in file.service:
            self._add_service(participant, rest, service)
        if rest.message_type or rest.enum_type or rest.service:
            self._files[rest.name] = rest
            self._taken.add(rest.name)

    def files(self) -> FileDescriptorSet:
        """Gives all that was added, as one whole."""
        for name, file_name in self._several.items():
            self._move_out(name, self._files[file_name])
        for file in self._files.values():
            imports = {self._home(used) for used in _used(file)} - {file.name}
            file.ClearField("dependency")
            file.dependency.extend(sorted(imports))
        return FileDescriptorSet(file=[file for _, file in sorted(self._files.items())])

    def _add_tops(self, participant: str, rest: FileDescriptorProto, tops: Any, kept: Any) -> None:
        for top in tops:
            name = full_name(rest, top.name)
            if self._is_new(name, _Described(participant, top, _reading(rest))):
                kept.append(top)
                self._homes[name] = rest.name

    def _add_service(
        self, participant: str, rest: FileDescriptorProto, service: ServiceDescriptorProto
    ) -> None:
        name = full_name(rest, service.name)
        methods = [
            method
            for method in service.method
            if self._is_new(f"{name}/{method.name}", _Described(participant, method, ()))
        ]
        there = self._services.get(name)
        if there is None:
            there = self._services[name] = rest.service.add(name=service.name)
            self._homes[name] = rest.name
        elif methods:
            self._several[name] = self._homes[name]
        there.method.extend(methods)

    def _move_out(self, name: str, file: FileDescriptorProto) -> None:
        """Gives a service a file of its own, since some of what it speaks of came after its file."""
        alone = FileDescriptorProto()
        alone.CopyFrom(file)
        _empty(alone)
        alone.service.append(self._services[name])
        alone.name = self._free("service", f"{name.removeprefix('.')}.proto")
        self._files[alone.name] = alone
        self._taken.add(alone.name)
        for number, service in enumerate(file.service):
            if full_name(file, service.name) == name:
                del file.service[number]
                break
        if not (file.message_type or file.enum_type or file.service):
            del self._files[file.name]

    def _is_new(self, name: str, described: _Described) -> bool:
        known = self._described.setdefault(name, described)
        if (known.content, known.reading) != (described.content, described.reading):
            both = f"participants {known.participant!r} and {described.participant!r}"
            raise UnusableDescriptorsError(f"{both} describe {name.removeprefix('.')} differently")
        return known is described

    def _home(self, name: str) -> str:
        """The file of a type, that may be within another."""
        while name not in self._homes:
            name = name.rpartition(".")[0]
            assert name, "what is kept makes a whole"
        return self._homes[name]

    def _free(self, participant: str, name: str) -> str:
        """A name that no file has."""
        while name in self._taken:
            name = f"{participant}/{name}"
        return name


def _empty(file: FileDescriptorProto) -> None:
    for field in ("message_type", "enum_type", "service"):
        file.ClearField(field)


def _reading(file: FileDescriptorProto) -> tuple[object, ...]:
    features = file.options.features.SerializeToString(deterministic=True)
    return (file.syntax or "proto2", file.edition, features)


def _used(file: FileDescriptorProto) -> Iterator[str]:
    """The types that a file speaks of, by their full names."""
    for service in file.service:
        for method in service.method:
            yield from (method.input_type, method.output_type)
    for message in file.message_type:
        yield from names_used(message)


@cache
def _standard_homes() -> dict[str, str]:
    """The files of protobuf's own types."""
    pool = linked(FileDescriptorSet())
    files = [pool.FindFileByName(name) for name in STANDARD_FILES]
    return {
        f".{top.full_name}": file.name
        for file in files
        for top in (*file.message_types_by_name.values(), *file.enum_types_by_name.values())
    }
