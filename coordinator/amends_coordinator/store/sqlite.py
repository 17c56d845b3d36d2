"""The store on one SQLite file.

Two connections, each in its own thread: one writes, and does so alone; one only reads, so that a list never
holds up a commit. Checkpoints are the writer's too, and reads are short, so the write-ahead log stays small.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import quote

from amends_coordinator.core.definition import Definition
from amends_coordinator.core.facts import Event
from amends_coordinator.store import appending, definitions, listing, queries, reading
from amends_coordinator.store.faults import refused, unavailable
from amends_coordinator.store.interface import (
    Append,
    Census,
    ConflictError,
    Cursor,
    Filter,
    SagaRow,
    StoreRefusedError,
)
from amends_coordinator.store.lane import Lane, in_transaction
from amends_coordinator.store.opening import BUSY_TIMEOUT, SQLITE_MIN, prepare
from amends_coordinator.store.ownership import Ownership
from amends_coordinator.store.rows import row_from_sql, to_microseconds
from amends_coordinator.store.tracking import Tracking


class SqliteStore:
    """A Store on one SQLite file, owned by this process until it is closed."""

    def __init__(self, owner: Ownership, writer: Lane, reader: Lane) -> None:
        self._path = owner.path
        self._owner = owner
        self._writer = writer
        self._reader = reader
        self.tracking = Tracking(owner.path, writer, reader)

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path}>"

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens a file, or makes it, and brings its schema up to date.

        Raises:
            StoreRefusedError: it cannot be used, or another process owns it; the message says what to do.
        """
        if sqlite3.sqlite_version_info < SQLITE_MIN:
            raise StoreRefusedError(
                f"SQLite is {sqlite3.sqlite_version}, and the store needs {'.'.join(map(str, SQLITE_MIN))}; "
                "use a Python that brings a newer one"
            )
        owner = Ownership.take(path)
        try:
            writer, reader = await _connect(owner.path)
        except BaseException:
            owner.release()
            raise
        return cls(owner, writer, reader)

    async def close(self) -> None:
        """Finishes what was handed in, and gives the file up."""
        try:
            try:
                await self._reader.close()
            finally:
                await self._writer.close()  # the last to close empties the write-ahead log
        finally:
            self._owner.release()

    # The log

    async def append(self, batch: Sequence[Append]) -> list[ConflictError | None]:
        """See Store.append."""
        encoded = [appending.encode(append) for append in batch]
        together = appending.parameters(encoded)
        with unavailable(self._path):
            return await self._writer.run(appending.write, encoded, together)

    async def probe(self) -> None:
        """See Store.probe."""
        with unavailable(self._path):
            await self._writer.run(in_transaction, appending.probe)

    async def read_log(self, saga_id: str, after_sequence: int = 0) -> list[Event]:
        """See Store.read_log."""
        with unavailable(self._path):
            return await self._reader.run(reading.read_log, saga_id, after_sequence)

    async def read_unfinished(self, after_id: str, limit: int, now: float) -> reading.Logs:
        """See Store.read_unfinished."""
        with unavailable(self._path):
            return await self._reader.run(reading.read_unfinished, after_id, limit, now)

    # Sleep

    async def sleep(self, wake_times: Mapping[str, float]) -> None:
        """See Store.sleep."""
        stored = {saga_id: to_microseconds(moment) for saga_id, moment in wake_times.items()}
        with unavailable(self._path):
            await self._writer.run(reading.put_to_sleep, json.dumps(stored))

    async def next_wake_time(self) -> float | None:
        """See Store.next_wake_time."""
        with unavailable(self._path):
            return await self._reader.run(reading.next_wake_time)

    async def take_due(self, now: float, limit: int) -> reading.Logs:
        """See Store.take_due."""
        with unavailable(self._path):
            return await self._writer.run(in_transaction, reading.take_due, now, limit)

    # Rows

    async def get_row(self, saga_id: str) -> SagaRow | None:
        """See Store.get_row."""
        with unavailable(self._path):
            return await self._reader.run(_get_row, saga_id)

    async def list_rows(self, condition: Filter, after: Cursor | None, limit: int) -> list[SagaRow]:
        """See Store.list_rows."""
        with unavailable(self._path):
            return await self._reader.run(listing.list_rows, condition, after, limit)

    async def census(self) -> Census:
        """See Store.census."""
        with unavailable(self._path):
            return await self._reader.run(reading.census)

    async def remove_ended(self, before: float, limit: int) -> int:
        """See Store.remove_ended."""
        with unavailable(self._path):
            return await self._writer.run(_remove_ended, to_microseconds(before), limit)

    # Definitions

    async def put_definition(self, definition: Definition, now: float) -> definitions.Registered:
        """See Store.put_definition."""
        with unavailable(self._path):
            return await self._writer.run(in_transaction, definitions.put, definition, now)

    async def get_definition(self, name: str, version: int = 0) -> definitions.Registered | None:
        """See Store.get_definition."""
        with unavailable(self._path):
            return await self._reader.run(definitions.get, name, version)

    async def list_definitions(self, after_name: str, limit: int) -> list[definitions.Registered]:
        """See Store.list_definitions."""
        with unavailable(self._path):
            return await self._reader.run(definitions.list_newest, after_name, limit)


async def _connect(path: Path) -> tuple[Lane, Lane]:
    """Opens both connections, the writer first: it makes the file and its write-ahead log."""
    with refused(path):
        writer = await Lane.open(str(path), timeout=BUSY_TIMEOUT)
        try:
            await writer.run(prepare, path)
            reader = await Lane.open(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
        except BaseException:
            await writer.close()
            raise
    return writer, reader


def _get_row(connection: sqlite3.Connection, saga_id: str) -> SagaRow | None:
    stored = connection.execute(queries.GET_ROW, {"saga_id": saga_id}).fetchone()
    return None if stored is None else row_from_sql(stored)


def _remove_ended(connection: sqlite3.Connection, before: int, limit: int) -> int:
    return connection.execute(queries.REMOVE_ENDED, {"before": before, "limit": limit}).rowcount
