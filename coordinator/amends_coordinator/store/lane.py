"""A SQLite connection with the thread it lives in."""

import sqlite3
from collections.abc import Callable
from typing import Any, Self, TypeVar

import aiosqlite

T = TypeVar("T")


class Lane:
    """A connection whose work runs in its own thread, one piece after the other."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, database: str, **options: Any) -> Self:
        """Connects; the options are those of ``sqlite3.connect``. Raises sqlite3.Error."""
        failures: list[sqlite3.Error] = []

        def connect() -> sqlite3.Connection:
            try:
                opened: sqlite3.Connection = sqlite3.connect(database, isolation_level=None, **options)
                return opened
            except sqlite3.Error as error:
                # aiosqlite would leave a failed connection's thread to itself, and it may outlive the event
                # loop that it reports to. This one can be closed like any other.
                failures.append(error)
                return sqlite3.connect(":memory:")

        lane = cls(await aiosqlite.Connection(connect, iter_chunk_size=1))
        if failures:
            await lane.close()
            raise failures[0]
        return lane

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs a piece of work, called with the connection and the arguments, in the thread.

        Through aiosqlite's own methods every statement would be a trip of about 95 microseconds; this is one
        trip for all that the work does. Whoever is cancelled while waiting does not stop the work.
        """
        connection: Any = self._connection
        result: T = await connection._execute(work, connection._conn, *arguments)  # noqa: SLF001 - no public way
        return result

    async def close(self) -> None:
        """Closes the connection and ends its thread, after the work that was handed in before."""
        await self._connection.close()


def in_transaction(connection: sqlite3.Connection, work: Callable[..., T], *arguments: object) -> T:
    """Does work that writes and commits it, or undoes all of it where it fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection, *arguments)
        connection.execute("COMMIT")
    except BaseException:
        # After some failures of the disk SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result
