"""What SQLite's errors mean to whoever uses a bus. The only place that reads their codes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from amends._bus.interface import BusError, BusUnavailableError

_BUSY_ADVICE: Final = "another process holds its lock; stop whatever else has the file open"
_ADVICE: Final = {
    "BUSY": _BUSY_ADVICE,
    "LOCKED": _BUSY_ADVICE,
    "PROTOCOL": _BUSY_ADVICE,
    "FULL": "make room on its disk",
    "IOERR": "its disk fails or is full",
    "READONLY": "check that the file and its folder may be written to",
    "PERM": "check that the file and its folder may be written to",
    "CANTOPEN": "check that its folder exists and may be written to",
    "CORRUPT": "it is damaged; stop its services and move it away, for them to begin a new one",
    "NOTADB": "it is no SQLite database; choose another file",
    "NOMEM": "the machine is out of memory",
}
"""What can be done about the world's faults. An error that is not here is a mistake of ours."""


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection was in the way, so that nothing has happened."""
    return _kind(error) in ("BUSY", "LOCKED")


@contextmanager
def unavailable(path: Path) -> Iterator[None]:
    """Turns the faults of the world into BusUnavailableError; our own mistakes pass as they are."""
    try:
        yield
    except sqlite3.Error as error:
        advice = _ADVICE.get(_kind(error))
        if advice is None:
            raise
        raise BusUnavailableError(f"the bus {path} is unavailable: {error}; {advice}") from error


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turns whatever SQLite raises at opening into BusError."""
    try:
        yield
    except sqlite3.Error as error:
        advice = _ADVICE.get(_kind(error), "it is damaged, or was changed by hand; choose another file")
        raise BusError(f"the bus {path} cannot be used: {error}; {advice}") from error


def _kind(error: sqlite3.Error) -> str:
    # SQLITE_IOERR_WRITE, for instance. Errors of the sqlite3 module itself have no name.
    name: str = getattr(error, "sqlite_errorname", "")
    return name.removeprefix("SQLITE_").partition("_")[0]
