"""Choreographed sagas in the store: what the tracker asks for, in words of sagas, on SQLite."""

import heapq
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from amends_coordinator.core.transitions import TrackedState
from amends_coordinator.store import queries
from amends_coordinator.store.faults import unavailable
from amends_coordinator.store.interface import Cursor, Filter
from amends_coordinator.store.lane import Lane, in_transaction
from amends_coordinator.store.listing import bounds
from amends_coordinator.store.rows import from_microseconds, to_microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRow:
    """What can be known of a choreographed saga without reading its log."""

    id: str
    definition_name: str
    state: TrackedState
    create_time: float  # moment
    heard_time: float  # moment, by our clock
    end_time: float | None = None  # moment
    needs_attention: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedAppend:
    """A saga as it is known from now on, and what is new in its log."""

    row: TrackedRow
    first_sequence: int  # of the first of these events; the log ends right before it
    events: Sequence[bytes]  # each an amends.v1.Event, serialised


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a bus was read."""

    sequence: int  # of the last message that was read
    message_id: str  # of that message


Logs = dict[str, tuple[TrackedRow, list[bytes]]]
"""Sagas by id, each with its row and its whole log."""


class Tracking:
    """The part of a SqliteStore that the tracker uses. It lives as long as the store.

    Every method raises StoreUnavailableError where the store cannot do it at the moment.
    """

    def __init__(self, path: Path, writer: Lane, reader: Lane) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader

    async def read_position(self, bus: str) -> Position | None:
        """Tells how far a bus was read; None where it never was."""
        with unavailable(self._path):
            return await self._reader.run(_read_position, bus)

    async def write(self, bus: str, position: Position | None, batch: Sequence[TrackedAppend]) -> None:
        """Writes what was read and how far, in one transaction, durable when this returns.

        Without a position, that of the bus stays as it is.
        """
        # Prepared here, so that the thread that other commits wait for has less to do.
        rows = [_to_sql(append.row) for append in batch]
        events = [
            {"id": append.row.id, "sequence": sequence, "data": data}
            for append in batch
            for sequence, data in enumerate(append.events, start=append.first_sequence)
        ]
        with unavailable(self._path):
            await self._writer.run(in_transaction, _write, bus, position, rows, events)

    async def read_logs(self, ids: Iterable[str]) -> Logs:
        """Reads whole sagas; those that are not there are left out."""
        with unavailable(self._path):
            return await self._reader.run(_read_logs, json.dumps(list(ids)))

    async def read_log(self, saga_id: str, after_sequence: int) -> list[tuple[int, bytes]]:
        """Reads the events of a saga after a sequence number, with theirs."""
        arguments = {"id": saga_id, "after_sequence": after_sequence}
        with unavailable(self._path):
            return await self._reader.run(_fetch, queries.READ_TRACKED_LOG, arguments)

    async def get_row(self, saga_id: str) -> TrackedRow | None:
        """Reads the row of a saga."""
        with unavailable(self._path):
            found = await self._reader.run(_fetch, queries.GET_TRACKED, {"ids": json.dumps([saga_id])})
        return _from_sql(found[0]) if found else None

    async def list_rows(self, condition: Filter, after: Cursor | None, limit: int) -> list[TrackedRow]:
        """Lists a page of sagas, the newest first, ties broken by id, descending."""
        states = _states(condition)
        if condition.labels or not states:
            return []  # nobody labels them
        with unavailable(self._path):
            return await self._reader.run(_list, condition, after, limit, states)

    async def find_silent(self, before: float, limit: int) -> list[str]:
        """Finds sagas that go on and were not heard of after this moment, the longest silent first."""
        arguments = {"before": to_microseconds(before), "limit": limit}
        with unavailable(self._path):
            return [saga_id for (saga_id,) in await self._reader.run(_fetch, queries.FIND_SILENT, arguments)]

    async def find_unfinished(self, after_key: int, limit: int) -> list[tuple[int, str]]:
        """Finds a page of sagas that have not ended, with keys to go on after; 0 begins."""
        arguments = {"after_key": after_key, "limit": limit}
        with unavailable(self._path):
            return await self._reader.run(_fetch, queries.FIND_TRACKED_UNFINISHED, arguments)

    async def census(self) -> Mapping[TrackedState, int]:
        """Counts the sagas that have not ended."""
        with unavailable(self._path):
            found = await self._reader.run(_fetch, queries.TRACKED_CENSUS, {})
        return {TrackedState(state): count for state, count in found}

    async def remove_ended(self, before: float, limit: int) -> int:
        """Removes up to ``limit`` sagas that ended before a moment, with their logs, and counts them."""
        with unavailable(self._path):
            return await self._writer.run(_remove, to_microseconds(before), limit)


def _fetch(connection: sqlite3.Connection, query: str, arguments: Mapping[str, Any]) -> list[Any]:
    return connection.execute(query, arguments).fetchall()


def _read_position(connection: sqlite3.Connection, bus: str) -> Position | None:
    found = connection.execute(queries.GET_POSITION, {"bus": bus}).fetchone()
    return None if found is None else Position(sequence=found[0], message_id=found[1])


def _write(
    connection: sqlite3.Connection,
    bus: str,
    position: Position | None,
    rows: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> None:
    connection.executemany(queries.PUT_TRACKED, rows)
    connection.executemany(queries.ADD_TRACKED_EVENT, events)
    if position is not None:
        place = {"bus": bus, "position": position.sequence, "message_id": position.message_id}
        connection.execute(queries.PUT_POSITION, place)


def _read_logs(connection: sqlite3.Connection, ids: str) -> Logs:
    connection.execute("BEGIN")  # so that rows and logs are of one moment
    try:
        rows = connection.execute(queries.GET_TRACKED, {"ids": ids}).fetchall()
        keys = json.dumps([stored[-1] for stored in rows])
        events = connection.execute(queries.READ_TRACKED_LOGS, {"saga_keys": keys}).fetchall()
    finally:
        connection.execute("COMMIT")
    found: dict[int, tuple[TrackedRow, list[bytes]]] = {
        stored[-1]: (_from_sql(stored), []) for stored in rows
    }
    for key, _, data in events:
        found[key][1].append(data)
    return {row.id: (row, events) for row, events in found.values()}


_BY_NUMBER: Mapping[int, TrackedState] = {int(state): state for state in TrackedState}


def _states(condition: Filter) -> set[TrackedState]:
    wanted = {_BY_NUMBER[state] for state in condition.states if state in _BY_NUMBER}
    if condition.stalled:
        wanted.add(TrackedState.STALLED)
    if not condition.states and not condition.stalled:
        wanted = set(TrackedState)
    return wanted & {TrackedState.STALLED} if condition.needs_attention else wanted


def _list(
    connection: sqlite3.Connection,
    condition: Filter,
    after: Cursor | None,
    limit: int,
    states: Iterable[TrackedState],
) -> list[TrackedRow]:
    query = queries.LIST_TRACKED_BY_DEFINITION if condition.definition_name else queries.LIST_TRACKED_BY_STATE
    arguments = {**bounds(condition, after), "definition_name": condition.definition_name, "limit": limit}
    connection.execute("BEGIN")  # so that all ranges show the same moment
    try:
        ranges = [
            connection.execute(query, {**arguments, "state": state}).fetchall() for state in sorted(states)
        ]
    finally:
        connection.execute("COMMIT")
    merged = heapq.merge(*ranges, key=lambda stored: (stored[3], stored[0]), reverse=True)
    return [_from_sql(stored) for stored in islice(merged, limit)]


def _remove(connection: sqlite3.Connection, before: int, limit: int) -> int:
    return connection.execute(queries.REMOVE_TRACKED, {"before": before, "limit": limit}).rowcount


def _to_sql(row: TrackedRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "definition_name": row.definition_name,
        "state": int(row.state),
        "create_time": to_microseconds(row.create_time),
        "heard_time": to_microseconds(row.heard_time),
        "end_time": None if row.end_time is None else to_microseconds(row.end_time),
        "needs_attention": row.needs_attention.replace("\0", "\N{REPLACEMENT CHARACTER}"),
    }


def _from_sql(stored: tuple[Any, ...]) -> TrackedRow:
    saga_id, definition_name, state, create_time, heard_time, end_time, needs_attention = stored[:7]
    return TrackedRow(
        id=saga_id,
        definition_name=definition_name,
        state=TrackedState(state),
        create_time=from_microseconds(create_time),
        heard_time=from_microseconds(heard_time),
        end_time=None if end_time is None else from_microseconds(end_time),
        needs_attention=needs_attention,
    )
