"""A fence that forgets when the process ends: for tests, which then need no file.

It remembers rows exactly as the one on SQLite does, but knows nothing of the handlers' effects: there is
no transaction that could take them back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from amends._fence.decision import Row
from amends._fence.ledger import Key, Ledger

T = TypeVar("T")


class MemoryFence:
    """Keeps rows in a dict."""

    async_db = None

    def __init__(self) -> None:
        self._ledger = MemoryLedger()

    async def open(self) -> None:
        """Has nothing to make ready."""

    async def close(self) -> None:
        """Has nothing to give back; the rows stay until the object goes."""

    async def run(self, work: Callable[[Ledger], T]) -> T:
        """Applies work to the ledger at once."""
        return work(self._ledger)


class MemoryLedger:
    """The rows; those of the transaction under way apart from the others."""

    db = None

    def __init__(self) -> None:
        self._rows: dict[Key, tuple[Row, float]] = {}
        self._staged: dict[Key, Row] = {}

    def begin(self) -> None:
        """Begins with nothing put."""
        self._staged = {}

    def commit(self) -> None:
        """Makes the rows that were put lasting."""
        now = time.time()
        self._rows.update({key: (row, now) for key, row in self._staged.items()})
        self._staged = {}

    def rollback(self) -> None:
        """Forgets the rows that were put."""
        self._staged = {}

    def savepoint(self) -> None:
        """Marks nothing: rows are never put between here and its end."""

    def release(self) -> None:
        """Keeps nothing."""

    def undo(self) -> None:
        """Takes nothing back; the handler's effects are its own."""

    def get(self, key: Key) -> Row | None:
        """Reads a row."""
        staged = self._staged.get(key)
        if staged is not None:
            return staged
        stored = self._rows.get(key)
        return stored[0] if stored else None

    def put(self, key: Key, row: Row) -> None:
        """Writes a row."""
        self._staged[key] = row

    def expire(self, before: float, limit: int) -> int:
        """Removes old rows."""
        old = [key for key, (_, updated) in self._rows.items() if updated < before][:limit]
        for key in old:
            del self._rows[key]
        return len(old)
