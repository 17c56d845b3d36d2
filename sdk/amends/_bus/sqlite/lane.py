"""A SQLite connection with the thread it lives in."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar

import aiosqlite

from amends._bus.sqlite.faults import is_busy, unavailable
from amends._fence.sqlite import in_thread_of

T = TypeVar("T")

PATIENCE_S: Final = 5.0
"""How long to wait for other connections: long enough for a backup's lock, and shorter than a lease."""

_PAUSE_S: Final = 0.0005
"""How long to wait before the next try, about: as long as a short transaction. SQLite's own waiting grows to
100 ms, which is what messages would then take where several services share a bus."""


class Lane:
    """A connection to a bus whose work runs in its own thread, one piece after the other."""

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    async def open(cls, path: Path, connect: Callable[[Path], sqlite3.Connection]) -> Self:
        """Connects by the function given. Raises what that raises."""
        failures: list[BaseException] = []

        def guarded() -> sqlite3.Connection:
            # aiosqlite would leave a failed connection's thread to itself. This one is closed like any other.
            try:
                return connect(path)
            except BaseException as error:
                failures.append(error)
                return sqlite3.connect(":memory:")

        lane = cls(path, await aiosqlite.Connection(guarded, iter_chunk_size=1))
        if failures:
            await lane.close()
            raise failures[0]
        return lane

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs work with the connection, in the thread; again while another process is in the way.

        Raises:
            BusUnavailableError: the file cannot be used at the moment.
        """

        def run_patiently() -> T:
            with unavailable(self._path):
                return patiently(lambda: work(self._connection._conn))  # noqa: SLF001 - there is no public way

        return await in_thread_of(self._connection, run_patiently)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs work in a transaction that is committed, or undone where it fails. Raises like `run`."""
        return await self.run(lambda connection: in_transaction(connection, work))

    async def close(self) -> None:
        """Closes the connection and ends its thread, after the work that was handed in before."""
        await self._connection.close()


def in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Does work that writes and commits it, or undoes all of it where it fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # After some failures of the disk SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def patiently(work: Callable[[], T]) -> T:
    """Does work that happens whole, or finds the database locked and does nothing; then it is done again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.5, 1.5) * _PAUSE_S)  # noqa: S311 - not for secrets
