"""Which descriptors have to be kept with a definition: those that its methods and messages reach.

Every saga carries them in its log, so files are cut down to the messages that are needed.
"""

from collections.abc import Container, Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from amends._linking import STANDARD_FILES
from amends_coordinator.descriptors.compilable import check_compilable
from amends_coordinator.descriptors.paring import pare


def kept(
    methods: Iterable[MethodDescriptor], types: Iterable[Descriptor | EnumDescriptor]
) -> FileDescriptorSet:
    """Cuts files down to these methods, messages and enums, with all that they are made of.

    Raises:
        UnusableDescriptorsError: they are not as a compiler writes them, and CEL does not take them.
    """
    keep = _Keep()
    for method in methods:
        keep.method(method)
    for kind in types:
        keep.type(kind)
    return FileDescriptorSet(file=[keep.cut(file) for _, file in sorted(keep.files.items())])


class _Keep:
    """What is to be kept, by files."""

    def __init__(self) -> None:
        self.files: dict[str, FileDescriptor] = {}
        self._tops: dict[str, set[str]] = {}  # by file, the names of the messages and enums at its top
        self._methods: dict[str, set[str]] = {}  # by the full name of the service
        self._imports: dict[str, set[str]] = {}

    def method(self, method: MethodDescriptor) -> None:
        file = method.containing_service.file
        self.files[file.name] = file
        self._methods.setdefault(method.containing_service.full_name, set()).add(method.name)
        for message in (method.input_type, method.output_type):
            self._imports.setdefault(file.name, set()).add(message.file.name)
            self.type(message)

    def type(self, kind: Descriptor | EnumDescriptor) -> None:
        waiting = [kind]
        while waiting:
            top = _top(waiting.pop())
            file = top.file
            if file.name in STANDARD_FILES:
                continue
            self.files[file.name] = file
            names = self._tops.setdefault(file.name, set())
            if top.name in names:
                continue
            names.add(top.name)
            for used in _used(top):
                self._imports.setdefault(file.name, set()).add(used.file.name)
                waiting.append(used)

    def cut(self, file: FileDescriptor) -> FileDescriptorProto:
        cut, tops = FileDescriptorProto(), self._tops.get(file.name, set())
        file.CopyToProto(cut)
        _keep_only(cut.message_type, tops)
        _keep_only(cut.enum_type, tops)
        for service in cut.service:
            names = self._methods.get(".".join(filter(None, (file.package, service.name))), set())
            _keep_only(service.method, names)
        _keep_only(cut.service, {service.name for service in cut.service if service.method})
        cut.ClearField("dependency")
        cut.dependency.extend(sorted(self._imports.get(file.name, set()) - {file.name}))
        pare(cut)
        check_compilable(cut)
        return cut


def _top(kind: Descriptor | EnumDescriptor) -> Descriptor | EnumDescriptor:
    """The message or enum of a file's top that a type is, or is nested in."""
    while kind.containing_type is not None:
        kind = kind.containing_type
    return kind


def _used(kind: Descriptor | EnumDescriptor) -> Iterator[Descriptor | EnumDescriptor]:
    """The types of a message's fields, and of those of the messages that are nested in it."""
    if isinstance(kind, EnumDescriptor):
        return
    for field in kind.fields:
        used = field.message_type or field.enum_type
        if used is not None:
            yield used
    for nested in kind.nested_types:
        yield from _used(nested)


def _keep_only(these: Any, names: Container[str]) -> None:
    for number in reversed(range(len(these))):
        if these[number].name not in names:
            del these[number]
