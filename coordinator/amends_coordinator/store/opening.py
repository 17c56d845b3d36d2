"""Opening a SQLite file: whose it is, whether it can be trusted, and bringing it up to date.

Nothing here reads more than a few pages: a file with a million sagas opens like an empty one. That a file is
cut short SQLite notices by itself; damage further inside is met when it is read.
"""

import sqlite3
from pathlib import Path

from amends import _wal
from amends_coordinator.store import queries
from amends_coordinator.store.faults import refused
from amends_coordinator.store.interface import StoreRefusedError

APPLICATION_ID = 0x416D6473
"""Marks a file as ours: "Amds"."""

SQLITE_MIN = (3, 37, 0)
"""The first SQLite with strict tables."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for somebody who looks into the file or backs it up. Long enough for a backup's lock, short
enough that callers learn of it before their own patience ends."""

CACHE_KIB = 16_384
"""Room for the pages that the sagas in flight change again and again."""

WAL_KEPT = 64 * 1024 * 1024
"""Bytes of the write-ahead log to keep for reuse; what a burst made beyond this is given back."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Checks a file that has just been connected to, sets the connection up for writing, and migrates.

    Raises:
        StoreRefusedError: the file cannot be used; the message says what to do.
    """
    with refused(path):
        version = _recognise(connection, path)
        _configure(connection, path)
        _migrate(connection, version)
        _probe(connection)
        _wal.make_room(connection)


def migrations() -> list[str]:
    """Lists the scripts that lead from an empty file to the schema; each is one version further."""
    folder = queries.SQL.joinpath("migrations")
    return [found.read_text("utf-8") for found in sorted(folder.iterdir(), key=lambda found: found.name)]


def _recognise(connection: sqlite3.Connection, path: Path) -> int:
    """Returns the version of the file's schema; changes nothing, for the file may not be ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    empty = objects == 0 and version == 0 and application == 0
    if application != APPLICATION_ID and not empty:
        raise StoreRefusedError(
            f"the store {path} cannot be used: it is a database of another application; name another file"
        )
    newest = len(migrations())
    if version > newest:
        raise StoreRefusedError(
            f"the store {path} cannot be used: it has version {version}, and this coordinator knows versions "
            f"up to {newest}; run the newer coordinator that wrote it"
        )
    return int(version)


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreRefusedError(
            f"the store {path} cannot be used: it cannot keep a write-ahead log there; put it on a local disk"
        )
    connection.execute("PRAGMA synchronous = FULL")  # fsync at every commit: accepted is durable (P1)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # a full disk must not stand in the way of a read
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Runs the migrations that the file has not seen; each commits with its number, or not at all."""
    # Even where there is nothing to migrate: this fails for a file that can only be read.
    connection.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version = {version}; ROLLBACK")
    for number, script in enumerate(migrations()[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; "
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT"
        )


def _probe(connection: sqlite3.Connection) -> None:
    """Prepares every statement and reads the start of every table, so that what is missing is missed now."""
    for statement in queries.NAMED.values():
        connection.execute(f"EXPLAIN {statement}", _Anything()).fetchall()
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (table,) in tables:
        connection.execute(f'SELECT * FROM "{table}" NOT INDEXED LIMIT 1').fetchall()  # noqa: S608 - our own names


class _Anything(dict[str, None]):
    """Parameters for a statement that is prepared and not run."""

    def __missing__(self, name: str) -> None:
        return None
