"""The fence on SQLite: one connection, in a thread of its own, that handlers and fence share.

The connection is aiosqlite's, for coroutines; plain work runs in its thread on the sqlite3 connection
beneath, because a statement costs a few microseconds there and about a hundred through the coroutine.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import aiosqlite

from amends._fence import opening, queries
from amends._fence.decision import Row, State
from amends._fence.ledger import Key, Ledger, TransactionLostError
from amends.errors import StoreError

T = TypeVar("T")

_TRANSACTION_CODES: Final = frozenset(
    {sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}
)


class SqliteFence:
    """A fence in a SQLite file, beside the tables of the participant.

    Args:
        path: the file; made if it does not exist.
        schema: a script with the participant's own tables, run at every `open`; should be repeatable.
    """

    def __init__(self, path: Path, schema: str = "") -> None:
        self._path = path
        self._schema = schema
        self._connection: aiosqlite.Connection | None = None
        self._ledger: SqliteLedger | None = None

    @property
    def async_db(self) -> aiosqlite.Connection | None:
        """The connection for coroutines; None while the fence is closed."""
        return self._connection

    async def open(self) -> None:
        """Opens the file and brings its tables up to date.

        Raises:
            StoreError: the file cannot be written, is no database, or was written by a newer version.
        """
        failures: list[StoreError] = []

        def connect() -> sqlite3.Connection:
            # Runs in the connection's thread, the only one that may use it. aiosqlite would leave that thread
            # behind if this failed, so it gets a connection in any case, and is closed like any other.
            try:
                connection = opening.open_connection(self._path, self._schema)
            except StoreError as error:
                failures.append(error)
                return sqlite3.connect(":memory:")
            self._ledger = SqliteLedger(connection)
            return connection

        self._connection = await aiosqlite.Connection(connect, iter_chunk_size=64)
        if failures:
            await self.close()
            raise failures[0]

    async def close(self) -> None:
        """Closes the file once the work under way is done."""
        connection, self._connection, self._ledger = self._connection, None, None
        if connection is not None:
            await connection.close()

    async def run(self, work: Callable[[Ledger], T]) -> T:
        """Applies work to the ledger in the connection's thread."""
        if self._connection is None or self._ledger is None:
            raise RuntimeError("the fence is not open")
        return await in_thread_of(self._connection, lambda: work(cast("Ledger", self._ledger)))


async def in_thread_of(connection: aiosqlite.Connection, work: Callable[[], T]) -> T:
    """Runs work in the thread of a connection, after what was asked of it before.

    aiosqlite has no public call for this; `_execute` is what all of its public ones are made of.
    """
    return cast("T", await connection._execute(work))  # type: ignore[no-untyped-call]  # noqa: SLF001


class SqliteLedger:
    """The rows in the table amends_fence; used in the connection's thread only.

    A handler shares the connection, and must not end the transaction that others are part of. An
    authorizer therefore refuses to prepare COMMIT, ROLLBACK, BEGIN, ATTACH and DETACH for it.

    SQL can end it all the same, by OR ROLLBACK or RAISE(ROLLBACK). The isolation level then has sqlite3 begin
    another before the next INSERT, UPDATE, DELETE or REPLACE, which the authorizer refuses too: otherwise a
    handler that goes on would have its effect committed at once, without a fence.
    """

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], float] = time.time) -> None:
        self.db = connection
        self._now = now
        self._staged: dict[Key, Row] = {}
        self._ours = False
        connection.isolation_level = "DEFERRED"
        connection.set_authorizer(self._authorize)

    def begin(self) -> None:
        """Takes the write lock, which whoever else wants to write must wait for."""
        self.rollback()  # in case an earlier one could not be ended, the disk being away
        self._execute_ours(queries.BEGIN)

    def commit(self) -> None:
        """Writes the rows and syncs the log. Raises TransactionLostError if there is nothing to commit."""
        if not self.db.in_transaction:
            raise TransactionLostError
        if self._staged:
            updated_at = int(self._now())
            self.db.executemany(queries.PUT, [(*key, *row, updated_at) for key, row in self._staged.items()])
        self._execute_ours(queries.COMMIT)
        self._staged = {}

    def rollback(self) -> None:
        """Ends the transaction, unless SQLite has ended it already."""
        self._staged = {}
        if self.db.in_transaction:
            self._execute_ours(queries.ROLLBACK)

    def savepoint(self) -> None:
        """Marks the place to go back to."""
        self.db.execute(queries.SAVEPOINT)

    def release(self) -> None:
        """Keeps what was done since the savepoint."""
        self._execute_on_savepoint(queries.RELEASE)

    def undo(self) -> None:
        """Takes back what was done since the savepoint, and forgets it."""
        self._execute_on_savepoint(queries.UNDO)
        self._execute_on_savepoint(queries.RELEASE)

    def get(self, key: Key) -> Row | None:
        """Reads a row."""
        staged = self._staged.get(key)
        if staged is not None:
            return staged
        cursor = self.db.execute(queries.GET, key)
        # The handlers' connection may have a row factory of their choice; the fence's rows are its own.
        cursor.row_factory = None
        found = cursor.fetchone()
        return Row(State(found[0]), found[1], found[2], found[3]) if found else None

    def put(self, key: Key, row: Row) -> None:
        """Writes a row."""
        self._staged[key] = row

    def expire(self, before: float, limit: int) -> int:
        """Removes old rows."""
        return self.db.execute(queries.EXPIRE, (int(before), limit)).rowcount

    def _execute_ours(self, statement: str) -> None:
        self._ours = True
        try:
            self.db.execute(statement)
        finally:
            self._ours = False

    def _execute_on_savepoint(self, statement: str) -> None:
        try:
            self.db.execute(statement)
        except sqlite3.OperationalError as error:
            raise TransactionLostError from error

    def _authorize(self, code: int, *_details: Any) -> int:
        # Called when a statement is prepared, not when it runs: a repeated statement costs nothing.
        if code in _TRANSACTION_CODES and not self._ours:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK
