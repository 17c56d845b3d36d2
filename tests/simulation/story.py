"""What happened in a simulated world, line by line, and a digest by which two runs can be told apart."""

import asyncio
from dataclasses import dataclass
from hashlib import blake2b


def in_words(fact: object) -> str:
    """Says a fact in a few words."""
    parts = [type(fact).__name__]
    for name in ("step", "direction", "attempt", "resolution", "turn_back", "message", "rejection"):
        value = getattr(fact, name, None)
        if value not in (None, ""):
            parts.append(value.name if hasattr(value, "name") else str(getattr(value, "reason", value)))
    return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    time: float  # seconds from the beginning
    text: str
    saga: str = ""  # the saga that it is about, if it is about one

    def __str__(self) -> str:
        return f"{self.time:10.4f}  {self.saga or '·':4} {self.text}"


class Story:
    """Takes down what happens."""

    def __init__(self, home: str) -> None:
        """Begins with nothing; the folder ``home``, which is another in every run, is left out of it."""
        self._home = home
        self.lines: list[Line] = []
        self.faults = 0
        self._digest = blake2b(digest_size=8)

    def tell(self, text: str, saga: str = "") -> None:
        """Takes one thing down."""
        line = Line(asyncio.get_running_loop().time(), text.replace(self._home, ""), saga)
        self.lines.append(line)
        self._digest.update(str(line).encode())

    def injected(self, fault: str) -> None:
        """Takes a fault down."""
        self.faults += 1
        self.tell(f"! {fault}")

    @property
    def digest(self) -> str:
        """The same for runs in which the same things happened at the same times."""
        return self._digest.hexdigest()

    def about(self, saga: str) -> list[Line]:
        """What concerns a saga, and what concerns all."""
        return [line for line in self.lines if line.saga in ("", saga)]
