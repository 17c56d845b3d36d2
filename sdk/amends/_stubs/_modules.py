"""The imports of a generated module, and how it names message types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from amends._stubs._model import MessageType


class Modules:
    """The modules of some message types, each under a name of its own."""

    def __init__(self, messages: Iterable[MessageType]) -> None:
        paths = sorted({message.module for message in messages})
        last = Counter(path.rpartition(".")[2] for path in paths)
        self._alias = {path: _alias(path, unique=last[path.rpartition(".")[2]] == 1) for path in paths}

    def imports(self) -> list[str]:
        """Returns a line for every module, in the order of their paths."""
        return [_import(path, alias) for path, alias in self._alias.items()]

    def name(self, message: MessageType) -> str:
        """Names a message type in the module."""
        return f"{self._alias[message.module]}.{message.name}"


def _alias(path: str, *, unique: bool) -> str:
    return path.rpartition(".")[2] if unique else path.replace(".", "_")


def _import(path: str, alias: str) -> str:
    package, _, module = path.rpartition(".")
    line = f"from {package} import {module}" if package else f"import {module}"
    return line if alias == module else f"{line} as {alias}"
