"""What SQLite's errors mean to whoever uses a store. The only place that reads their codes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amends_coordinator.store.interface import StoreRefusedError, StoreUnavailableError

_ADVICE = {
    "BUSY": "another process holds its lock; stop whatever else has the file open",
    "LOCKED": "another process holds its lock; stop whatever else has the file open",
    "FULL": "make room on its disk",
    "IOERR": "its disk fails or is full",
    "READONLY": "allow the coordinator to write the file and its folder",
    "PERM": "allow the coordinator to write the file and its folder",
    "CANTOPEN": "see that its folder exists and that the coordinator may write there",
    "CORRUPT": "the file is damaged; stop the coordinator and restore it from a backup",
    "NOTADB": "the file is no SQLite database, or is damaged; name another file or restore it from a backup",
    "NOMEM": "the machine is out of memory",
    "INTERRUPT": "the statement was interrupted",
    "PROTOCOL": "its lock could not be had; stop whatever else has the file open",
}
"""What can be done about the world's faults. An error that is not here is a mistake of ours."""

_CONFLICTS = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_TRIGGER")
"""What the fence of the events raises: the sequence number is taken, or does not follow."""


def is_conflict(error: sqlite3.IntegrityError) -> bool:
    """Whether somebody else's facts were in the way."""
    return error.sqlite_errorname in _CONFLICTS


@contextmanager
def unavailable(path: Path) -> Iterator[None]:
    """Turns the faults of the world into StoreUnavailableError; our own mistakes pass as they are."""
    try:
        yield
    except sqlite3.Error as error:
        advice = _advice(error)
        if advice is None:
            raise
        raise StoreUnavailableError(f"the store {path} is unavailable: {error}; {advice}") from error


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Turns whatever SQLite raises at opening into StoreRefusedError."""
    try:
        yield
    except sqlite3.Error as error:
        advice = _advice(error) or "the file is damaged, or was changed by hand; restore it from a backup"
        raise StoreRefusedError(f"the store {path} cannot be used: {error}; {advice}") from error


def _advice(error: sqlite3.Error) -> str | None:
    # SQLITE_IOERR_WRITE, for instance. Errors of the sqlite3 module itself have no name.
    name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
    return _ADVICE.get(name.partition("_")[0])
