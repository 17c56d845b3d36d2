"""`protoc-gen-amends`: reads a compiler's request from standard input and answers it on standard output."""

from __future__ import annotations

import sys
from typing import Final

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import Edition
from google.protobuf.message import DecodeError

from amends._stubs._generating import AnnotationError, generate

_USAGE: Final = (
    "protoc-gen-amends is called by a protobuf compiler: protoc --amends_out=DIR FILE.proto; without one, "
    "use `amends stubs FILE.proto --out DIR`\n"
)


def main() -> None:
    """Answers one request; leaves the process with status 1 for what is none."""
    if sys.stdin.isatty():
        sys.exit(_USAGE)
    try:
        request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    except DecodeError:
        sys.exit(_USAGE)
    sys.stdout.buffer.write(respond(request).SerializeToString())


def respond(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Answers a request with the files to write, or with what is wrong, one fault a line."""
    response = CodeGeneratorResponse(
        supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
        | CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS,
        minimum_edition=Edition.EDITION_PROTO2,
        maximum_edition=Edition.EDITION_2024,
    )
    if request.parameter:
        response.error = f"there are no parameters, and --amends_opt is {request.parameter!r}"
        return response
    try:
        modules = generate(request)
    except AnnotationError as error:
        response.error = str(error)
        return response
    for path, text in modules.items():
        response.file.add(name=path, content=text)
    return response
