"""Makes room in a SQLite database's write-ahead log before it is needed."""

from __future__ import annotations

import sqlite3
from typing import Final

PAGES_MAX: Final = 4000
"""Pages in the log before a commit copies them into the file: 16 MB. Most of them changed many times by then
and are copied once; the commit that does it takes some tens of milliseconds."""

PAGES_MIN: Final = 250
"""The same where the disk has no room for as many: 1 MB. Commits stop for it more often, and the log leaves
the disk to what it is copied into."""

_PAGE_BYTES: Final = 4096
_FEW_PAGES: Final = 10


def make_room(connection: sqlite3.Connection) -> None:
    """Lengthens the log to its full size, so that commits write over it instead of adding to it.

    A commit that makes its file longer has the file system write its own log too, and takes twice as
    long. What is written here is never committed: with hardly any cache SQLite puts it into the log at
    once, and the next transaction writes over it. Takes some tens of milliseconds. Where there is no room
    for it, the log is kept short instead: commits are slower and that is all.

    Raises:
        sqlite3.Error: the database cannot be written for another reason.
    """
    (cache,) = connection.execute("PRAGMA cache_size").fetchone()
    connection.execute(f"PRAGMA cache_size = {_FEW_PAGES}")
    pages = PAGES_MAX
    try:
        # So that the log can be shortened again without room to copy anything to.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        _lengthen(connection)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
            raise
        pages = PAGES_MIN
    finally:
        connection.execute(f"PRAGMA cache_size = {cache}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")


def _lengthen(connection: sqlite3.Connection) -> None:
    """Writes to the end of the log, and takes it back. Raises sqlite3.OperationalError without the room."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE amends_ballast (bytes BLOB)")
        connection.execute("INSERT INTO amends_ballast VALUES (zeroblob(?))", (PAGES_MAX * _PAGE_BYTES,))
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        # Left as it is, the log would have taken the last of the disk, the room to copy it into the file
        # included: once it was full, no commit could succeed any more.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        raise
    connection.execute("ROLLBACK")
