"""The seam between calls and storage: a ledger inside a transaction, and a fence that lends it out.

Ground rules, which let one transaction serve many calls:

* There is at most one transaction at a time. It holds the only write lock from its first statement on,
  so no other call, connection or process can come between reading a row and writing it.
* Rows are therefore kept aside and written together, right before the commit. `get` sees them before
  that, so that two calls for one key in one transaction behave as if one came after the other.
* A handler runs between `savepoint` and either `release` or `undo`; rows are put only outside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

import aiosqlite

from amends._fence.decision import Row

T = TypeVar("T")

Key = tuple[str, str]
"""A saga's id and the name of a step: what a row is found by."""


class Ledger(Protocol):
    """The rows of a fence, to be used within `Fence.run` only."""

    @property
    def db(self) -> sqlite3.Connection | None:
        """The connection that the transaction runs on; None where there is no database."""

    def begin(self) -> None:
        """Begins a transaction and takes the write lock."""

    def commit(self) -> None:
        """Writes the rows that were put, and makes the transaction durable."""

    def rollback(self) -> None:
        """Ends the transaction, if there still is one, without an effect."""

    def savepoint(self) -> None:
        """Marks the place that `undo` goes back to."""

    def release(self) -> None:
        """Keeps what was done since the savepoint. Raises TransactionLostError if that is gone."""

    def undo(self) -> None:
        """Takes back what was done since the savepoint. Raises like `release`."""

    def get(self, key: Key) -> Row | None:
        """Reads a row, one that was put in this transaction included."""

    def put(self, key: Key, row: Row) -> None:
        """Writes a row, in place of the one before."""

    def expire(self, before: float, limit: int) -> int:
        """Removes at most `limit` rows last written before a Unix time, and tells how many."""


class Fence(Protocol):
    """Lends out its ledger, to one piece of work at a time."""

    async def open(self) -> None:
        """Makes the fence ready. Raises StoreError."""

    async def close(self) -> None:
        """Gives back what `open` took. Harmless if it is not open."""

    async def run(self, work: Callable[[Ledger], T]) -> T:
        """Applies plain work to the ledger, where it may block."""

    @property
    def async_db(self) -> aiosqlite.Connection | None:
        """The connection for coroutines, to the same transaction; None where there is no database."""


class TransactionLostError(Exception):
    """The transaction ended under a handler's hands; none of its calls had an effect."""
