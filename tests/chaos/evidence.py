"""What a round left in its files: read when every process has ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amends_coordinator.core.facts import Event
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.store.interface import Filter, SagaRow
from amends_coordinator.store.sqlite import SqliteStore
from tests.chaos import notebook
from tests.chaos.notebook import Note
from tests.chaos.plan import COORDINATOR, CUSTOMERS
from tests.chaos.stage import Stage
from tests.promises.ledgers import Key, Trace, read_traces

ALL: Final = 1_000_000
"""More sagas than a round has."""


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
        traces={name: read_traces(stage.store(name), stage.book(name)) for name in stage.plan.participants},
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
