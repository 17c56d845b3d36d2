"""Opens a SQLite file for a fence, or says in one line why not and what to do."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path
from typing import Final

from amends import _wal
from amends._fence import queries
from amends.errors import StoreError

VERSION: Final = 1
"""The shape of the tables in schema.sql. A greater one in a file was written by newer code."""

BUSY_TIMEOUT_S: Final = 5.0
"""How long to wait for another connection's write lock: half of a coordinator's patience with one call."""

CACHED_STATEMENTS: Final = 256
"""How many prepared statements to keep: the handlers' and the fence's share the room."""


def open_connection(path: Path, schema: str) -> sqlite3.Connection:
    """Opens a file in autocommit mode, with the fence's tables and the participant's.

    Raises:
        StoreError: the file cannot be used.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, cached_statements=CACHED_STATEMENTS
        )
    except sqlite3.Error as error:
        raise StoreError(explained(path, error)) from error
    try:
        _configure(connection, path)
        _make_fence(connection, path)
        _make_tables(connection, path, schema)
        _wal.make_room(connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(explained(path, error)) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"the store {path} cannot keep a write-ahead log; put it on a local disk")
    # FULL syncs at every commit: an answer that was given must survive a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _make_fence(connection: sqlite3.Connection, path: Path) -> None:
    script = resources.files("amends._fence").joinpath("schema.sql").read_text("utf-8")
    connection.executescript(f"BEGIN IMMEDIATE; {script}")
    found = connection.execute(queries.READ_VERSION).fetchone()
    if found is None:
        connection.execute(queries.WRITE_VERSION, (VERSION,))
    elif found[0] > VERSION:
        raise StoreError(
            f"the store {path} holds a fence of version {found[0]}, and this is version {VERSION}; "
            "install the newer version of amends that wrote it"
        )
    try:
        connection.execute(queries.CHECK_SHAPE)
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"the store {path} has a table amends_fence of another shape ({error}); "
            "rename that table or choose another file"
        ) from error
    connection.execute("COMMIT")


def _make_tables(connection: sqlite3.Connection, path: Path, schema: str) -> None:
    try:
        connection.executescript(schema)
    except sqlite3.OperationalError as error:
        raise StoreError(f"the schema given does not fit the store {path}: {error}") from error
    if connection.in_transaction:
        raise StoreError("the schema given begins a transaction that it does not end")


def explained(path: Path, error: sqlite3.Error) -> str:
    """Says in one line why a store cannot be used, and what to do."""
    name = getattr(error, "sqlite_errorname", "")
    advice = next((text for prefix, text in _ADVICE if name.startswith(prefix)), "look at the file")
    return f"the store {path} cannot be used: {error}; {advice}"


_ADVICE: Final = (
    ("SQLITE_CANTOPEN", "check that its folder exists and may be written to"),
    ("SQLITE_READONLY", "check that the file and its folder may be written to"),
    ("SQLITE_NOTADB", "it is no SQLite database; choose another file"),
    ("SQLITE_CORRUPT", "it is damaged; restore it from a backup"),
    ("SQLITE_BUSY", "another process holds it; stop that one or wait for it"),
    ("SQLITE_FULL", "make room on its disk"),
    ("SQLITE_IOERR", "its disk fails or is full"),
)
