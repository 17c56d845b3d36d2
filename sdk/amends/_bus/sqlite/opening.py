"""Opens the file of a bus, or says in one line why not and what to do."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path
from typing import Final

from amends import _wal
from amends._bus.interface import BusError
from amends._bus.sqlite.faults import refused
from amends._bus.sqlite.lane import in_transaction, patiently

APPLICATION_ID: Final = 0x416D6462
"""Marks a file as a bus: "Amdb"."""

VERSION: Final = 1
"""The shape of the tables in schema.sql. A greater one in a file was written by newer code."""

# One statement: another process may be making the tables.
_WHAT_IT_IS: Final = """
SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id, pragma_user_version
"""

_TABLES: Final = ("messages", "consumers", "subjects", "owners", "deliveries", "claims", "announcements")


def connect_to_publish(path: Path) -> sqlite3.Connection:
    """Opens a file, and makes it if there is none. Every commit is synced.

    Raises:
        BusError: the file cannot be used.
    """
    with refused(path):
        connection = _connect(path)
        try:
            patiently(lambda: _prepare(connection, path))
            connection.execute("PRAGMA synchronous = FULL")
            patiently(lambda: _wal.make_room(connection))
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_consume(path: Path) -> sqlite3.Connection:
    """Opens a file that has been made. Commits are as durable as the process's memory is to its own death.

    Raises:
        BusError: the file cannot be used.
    """
    with refused(path):
        connection = _connect(path)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_wal.PAGES_MAX}")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # Waiting is ours: see `patiently`.
    return sqlite3.connect(path, timeout=0, isolation_level=None)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    known = _recognise(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise BusError(f"the bus {path} cannot keep a write-ahead log; put it on a local disk")
    if not known:
        in_transaction(connection, lambda _: _make(connection, path))
    for table in _TABLES:
        connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()  # noqa: S608 - our own names
    # For a file that can only be read this fails now, and not when something is published.
    connection.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version = {VERSION}; ROLLBACK")


def _recognise(connection: sqlite3.Connection, path: Path) -> bool:
    """Says whether the file has our tables; if not, it is empty. Changes nothing, for it may not be ours."""
    application, version, objects = connection.execute(_WHAT_IT_IS).fetchone()
    if application != APPLICATION_ID and (objects, version, application) != (0, 0, 0):
        raise BusError(
            f"the bus {path} cannot be used: it is a database of something else; choose another file"
        )
    if version > VERSION:
        raise BusError(
            f"the bus {path} cannot be used: it has version {version}, and this is version {VERSION}; "
            "install the newer version of amends that wrote it"
        )
    return bool(version)


def _make(connection: sqlite3.Connection, path: Path) -> None:
    if _recognise(connection, path):
        return  # by another process, meanwhile
    for statement in _statements():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _statements() -> list[str]:
    """Takes the schema apart: `executescript` would commit before it."""
    script = resources.files("amends._bus.sqlite").joinpath("schema.sql").read_text("utf-8")
    statements, text = [], ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements
