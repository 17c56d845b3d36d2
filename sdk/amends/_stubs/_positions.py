"""Where in a .proto file something is, and what its author says of it there."""

from __future__ import annotations

import inspect
import re
from typing import Final, NamedTuple

from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
    SourceCodeInfo,
)

from amends.v1 import options_pb2

SERVICE: Final = FileDescriptorProto.SERVICE_FIELD_NUMBER
METHOD: Final = ServiceDescriptorProto.METHOD_FIELD_NUMBER
OPTIONS: Final = MethodDescriptorProto.OPTIONS_FIELD_NUMBER
ACTION: Final = options_pb2.action.number
"""Numbers that paths into a file are made of, as `SourceCodeInfo.Location` explains them."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


class Finding(NamedTuple):
    """Something that is wrong, and where."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class Positions:
    """The places and comments of one file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file.name
        self._locations: dict[tuple[int, ...], SourceCodeInfo.Location] = {
            tuple(location.path): location for location in file.source_code_info.location
        }

    def finding(self, path: tuple[int, ...], text: str) -> Finding:
        """Says what is wrong at a path, or at what encloses it where the compiler does not know more."""
        while path and path not in self._locations:
            path = path[:-1]
        location = self._locations.get(path)
        # Compilers count lines and columns from 0, people and editors from 1.
        line, column = (location.span[0] + 1, location.span[1] + 1) if location is not None else (1, 1)
        return Finding(self._file, line, column, text)

    def comment(self, path: tuple[int, ...]) -> str:
        """Returns the comment before an element, or behind it if there is none; "" without any."""
        location = self._locations.get(path)
        if location is None:
            return ""
        comment = location.leading_comments or location.trailing_comments
        # Python takes no NUL in its source, and no comment means one.
        lines = [_CONTROL.sub(" ", line).removeprefix(" ").rstrip() for line in comment.splitlines()]
        return inspect.cleandoc("\n".join(lines))
