"""From a compiler's request to what it is to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest

from amends._stubs import _names as names
from amends._stubs._positions import Finding
from amends._stubs._reading import read
from amends._stubs._types import message_types
from amends._stubs._writing import write


class AnnotationError(Exception):
    """Something is wrong with the annotations, or with what came along; each line of the text says what."""

    def __init__(self, findings: Sequence[Finding | str]) -> None:
        super().__init__("\n".join(map(str, findings)))


def generate(request: CodeGeneratorRequest) -> Mapping[str, str]:
    """Returns the text of every module, by its path. Files without annotations give none.

    Raises:
        AnnotationError: lists everything wrong with the annotations, or what the request lacks.
    """
    lacking = _lacking(request)
    if lacking:
        raise AnnotationError(lacking)
    types = message_types(request.proto_file)
    files = {file.name: file for file in request.proto_file}
    modules = {}
    findings: list[Finding] = []
    for name in request.file_to_generate:
        annotated, found = read(files[name], types)
        findings += found
        if annotated.services:
            modules[names.path_of(name, "_amends")] = write(annotated)
    if findings:
        raise AnnotationError(sorted(findings))
    return modules


def _lacking(request: CodeGeneratorRequest) -> list[str]:
    """What a compiler would have resolved, in a request that did not come from one."""
    known = {file.name for file in request.proto_file}
    lacking = [
        f"{name}: is to be generated, but the request does not carry it"
        for name in request.file_to_generate
        if name not in known
    ]
    lacking += [
        f"{file.name}: imports {name}, which the request does not carry; descriptors have to come with "
        "everything they import (protoc --include_imports)"
        for file in request.proto_file
        for name in file.dependency
        if name not in known
    ]
    return lacking
