"""What a round left in its files: read when every process has ended."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from amends_coordinator.core.facts import Event
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.store.interface import Filter, SagaRow
from amends_coordinator.store.sqlite import SqliteStore
from tests.chaos import notebook
from tests.chaos.notebook import Note
from tests.chaos.plan import COORDINATOR, CUSTOMERS
from tests.chaos.stage import Stage

ALL: Final = 1_000_000
"""More sagas than a round has."""

Key = tuple[str, str]
"""A saga and a step of it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a ledger, or of a provider's book."""

    what: str
    """applied, undone; a provider's also: barred, too late."""
    deed: str
    """Which run of the handler made the effect."""
    at: int
    """When, in nanoseconds of the machine's monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one participant wrote down about one step."""

    fence: str | None = None
    """The state of its fence; None: no row."""
    external: bool = False
    """Whether the effect lies outside the database."""
    lines: tuple[Line, ...] = ()
    """In the order in which they were written."""
    moves: tuple[str, ...] = ()
    """The states that the fence has been written with, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the coordinator wrote down about one saga."""

    row: SagaRow
    """What lists show."""
    events: tuple[Event, ...]
    """Its log; empty where it cannot be read."""
    broken: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is compared."""

    records: Mapping[str, Record]
    """By saga."""
    traces: Mapping[str, Mapping[Key, Trace]]
    """By participant, then by saga and step."""
    notes: tuple[Note, ...]
    """Of all customers, each one's in order."""


async def gather(stage: Stage) -> Evidence:
    """Reads the files of a stage whose processes have ended."""
    notes = [note for name in CUSTOMERS for note in notebook.read(stage.notebook(name))]
    return Evidence(
        records=await _read_log(stage.store(COORDINATOR)),
        traces={name: _read_traces(stage.store(name), stage.book(name)) for name in stage.plan.participants},
        notes=tuple(notes),
    )


async def _read_log(path: Path) -> dict[str, Record]:
    store = await SqliteStore.open(path)
    try:
        rows = await store.list_rows(Filter(), None, ALL)
        return {row.id: await _read_record(store, row) for row in rows}
    finally:
        await store.close()


async def _read_record(store: SqliteStore, row: SagaRow) -> Record:
    try:
        return Record(row=row, events=tuple(await store.read_log(row.id)))
    except BrokenLogError as error:
        return Record(row=row, events=(), broken=str(error))


def _read_traces(store: Path, book: Path) -> dict[Key, Trace]:
    fences = {
        (saga, step): (state, action)
        for saga, step, state, action in _rows(store, "SELECT saga_id, step, state, action FROM amends_fence")
    }
    moves: dict[Key, list[str]] = defaultdict(list)
    for saga, step, state in _rows(store, "SELECT saga, step, state FROM moves ORDER BY rowid"):
        moves[saga, step].append(state)
    lines = _read_lines(store)
    outside = _read_lines(book)
    return {
        key: Trace(
            fence=fences.get(key, (None, ""))[0],
            external=key in outside or fences.get(key, ("", ""))[1] == "outside",
            lines=(*lines.get(key, ()), *outside.get(key, ())),
            moves=tuple(moves.get(key, ())),
        )
        for key in fences.keys() | lines.keys() | outside.keys()
    }


def _read_lines(path: Path) -> dict[Key, list[Line]]:
    found: dict[Key, list[Line]] = defaultdict(list)
    for saga, step, *line in _rows(path, "SELECT saga, step, what, deed, at FROM lines ORDER BY rowid"):
        found[saga, step].append(Line(*line))
    return found


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()
