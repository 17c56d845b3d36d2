"""Reads the annotations of one file, and finds every fault of them."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.descriptor_pb2 import FileDescriptorProto, ServiceDescriptorProto

from amends._stubs import _names as names
from amends._stubs._model import AnnotatedFile, AnnotatedService, MessageType
from amends._stubs._positions import SERVICE, Finding, Positions
from amends._stubs._service import ServiceReader


def read(file: FileDescriptorProto, types: Mapping[str, MessageType]) -> tuple[AnnotatedFile, list[Finding]]:
    """Returns the annotated services of a file, and what is wrong with them; what is wrong is left out.

    Args:
        file: the file, with its source code info.
        types: every message type that its methods may name.
    """
    positions = Positions(file)
    services: list[AnnotatedService] = []
    findings: list[Finding] = []
    for number, service in enumerate(file.service):
        reader = ServiceReader(service, (SERVICE, number), positions, types)
        actions = reader.read()
        findings += reader.findings
        if not actions:
            continue
        stem = names.stem(service.name)
        if any(stem == other.stem for other in services):
            text = (
                f"{service.name}: another service here has classes of the same names, {stem}Steps and so on"
            )
            findings.append(positions.finding((SERVICE, number), text))
        services.append(
            AnnotatedService(
                full_name=_full_name(file, service),
                stem=stem,
                participant=names.snake_case(stem),
                comment=positions.comment((SERVICE, number)),
                actions=actions,
            )
        )
    if services and not names.can_be_imported(names.module_of(file.name, "_amends")):
        text = "no Python program can import a module of this name; rename the file or its folder"
        findings.append(positions.finding((), text))
    return AnnotatedFile(file.name, tuple(services)), findings


def _full_name(file: FileDescriptorProto, service: ServiceDescriptorProto) -> str:
    return f"{file.package}.{service.name}" if file.package else service.name
