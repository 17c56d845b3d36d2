"""What a customer keeps of what it was told: a file that survives its writer.

A line is written once the coordinator has answered, and before anything else is done. It needs no fsync:
processes are killed here, and the machine goes on.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class Told(StrEnum):
    """What a customer asked or was told."""

    BORN = "born"
    """The customer began, perhaps again after it was killed."""
    ASKED = "asked"
    """It is about to start a saga; nobody may answer."""
    ACCEPTED = "accepted"
    """The start was answered."""
    EXISTS = "exists"
    """The start was refused: the id has other content."""
    ENDED = "ended"
    """The saga was told to have ended."""
    GRANTED = "granted"
    """A cancel, a retry or a resolve was answered."""
    SEEN = "seen"
    """An event was seen by watching."""
    MISSING = "missing"
    """A saga whose start was answered was not found."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """One line."""

    told: Told
    """What was asked or told."""
    saga: str = ""
    """The saga concerned."""
    content: int = 0
    """Which content it was started with; or the sequence number of an event."""
    what: str = ""
    """The state in which it ended, the event that was seen, or the event that a wish leads to."""


class Notebook:
    """Writes notes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)  # a line at a time

    def write(self, note: Note) -> None:
        """Keeps a note; it outlives this process from here on."""
        self._file.write(json.dumps(asdict(note)) + "\n")


def read(path: Path) -> list[Note]:
    """Reads the notes that were kept. The last line may be torn, if its writer was killed as it wrote."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").split("\n")[:-1]
    return [Note(**{**json.loads(line), "told": Told(json.loads(line)["told"])}) for line in lines if line]
