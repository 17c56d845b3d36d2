"""The store in memory, for tests: it means the same as one on disk, and forgets everything."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from amends_coordinator.core.definition import Definition
from amends_coordinator.core.facts import Event
from amends_coordinator.store.interface import Append, Census, ConflictError, Cursor, Filter, SagaRow

Logs = list[tuple[str, list[Event]]]
Registered = tuple[Definition, float]


class MemoryStore:
    """A Store that lives as long as its process."""

    def __init__(self) -> None:
        self._logs: dict[str, list[Event]] = {}
        self._rows: dict[str, SagaRow] = {}
        self._wake_times: dict[str, float] = {}
        self._definitions: dict[str, list[Registered]] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore with {len(self._rows)} sagas>"

    async def close(self) -> None:
        """See Store.close. The store can still be used, by the next coordinator of a test."""

    # The log

    async def append(self, batch: Sequence[Append]) -> list[ConflictError | None]:
        """See Store.append."""
        lost: set[str] = set()  # nothing that follows a conflict is written
        conflicts = []
        for append in batch:
            fenced = append.saga_id in lost
            conflict = _conflict(append) if fenced else self._append(append)
            if conflict is not None:
                lost.add(append.saga_id)
            conflicts.append(conflict)
        return conflicts

    def _append(self, append: Append) -> ConflictError | None:
        assert append.facts, "a row changes only together with facts, which carry the fence"
        assert append.row is not None or append.first_sequence > 1, "a new saga has a row"
        if append.first_sequence != len(self._logs.get(append.saga_id, ())) + 1:
            return _conflict(append)
        log = self._logs.setdefault(append.saga_id, [])
        for sequence, fact in enumerate(append.facts, start=append.first_sequence):
            log.append(Event(sequence, append.time, fact))
        if append.row is not None:
            self._rows[append.saga_id] = append.row
        self._wake_times.pop(append.saga_id, None)
        return None

    async def probe(self) -> None:
        """See Store.probe."""

    async def read_log(self, saga_id: str, after_sequence: int = 0) -> list[Event]:
        """See Store.read_log."""
        return self._logs.get(saga_id, [])[after_sequence:]

    async def read_unfinished(self, after_id: str, limit: int, now: float) -> Logs:
        """See Store.read_unfinished."""
        last = self._rows.get(after_id)
        found = sorted(
            (
                row
                for row in self._rows.values()
                if row.end_time is None and (not last or _place(row) > _place(last))
            ),
            key=_place,
        )
        awake = (row.id for row in found if self._wake_times.get(row.id, now) <= now)
        return self._read(islice(awake, limit))

    def _read(self, saga_ids: Iterable[str]) -> Logs:
        return [(saga_id, list(self._logs[saga_id])) for saga_id in saga_ids]

    # Sleep

    async def sleep(self, wake_times: Mapping[str, float]) -> None:
        """See Store.sleep."""
        for saga_id, moment in wake_times.items():
            row = self._rows.get(saga_id)
            if row is not None and row.end_time is None:
                self._wake_times[saga_id] = moment

    async def next_wake_time(self) -> float | None:
        """See Store.next_wake_time."""
        return min(self._wake_times.values(), default=None)

    async def take_due(self, now: float, limit: int) -> Logs:
        """See Store.take_due."""
        due = sorted((moment, saga_id) for saga_id, moment in self._wake_times.items() if moment <= now)[
            :limit
        ]
        for _, saga_id in due:
            del self._wake_times[saga_id]
        return self._read(saga_id for _, saga_id in due)

    # Rows

    async def get_row(self, saga_id: str) -> SagaRow | None:
        """See Store.get_row."""
        return self._rows.get(saga_id)

    async def list_rows(self, condition: Filter, after: Cursor | None, limit: int) -> list[SagaRow]:
        """See Store.list_rows."""
        found = [
            row
            for row in self._rows.values()
            if _meets(row, condition) and (after is None or _place(row) < (after.create_time, after.saga_id))
        ]
        return sorted(found, key=_place, reverse=True)[:limit]

    async def census(self) -> Census:
        """See Store.census."""
        unfinished = [row for row in self._rows.values() if row.end_time is None]
        return Census(
            unfinished=Counter(row.state for row in unfinished),
            oldest_create_time=min((row.create_time for row in unfinished), default=None),
        )

    async def remove_ended(self, before: float, limit: int) -> int:
        """See Store.remove_ended."""
        ended = sorted(
            (row.end_time, row.id)
            for row in self._rows.values()
            if row.end_time is not None and row.end_time < before
        )[:limit]
        for _, saga_id in ended:
            del self._rows[saga_id], self._logs[saga_id]
        return len(ended)

    # Definitions

    async def put_definition(self, definition: Definition, now: float) -> Registered:
        """See Store.put_definition."""
        versions = self._definitions.setdefault(definition.name, [])
        if versions and replace(versions[-1][0], version=0) == replace(definition, version=0):
            return versions[-1]
        versions.append((replace(definition, version=len(versions) + 1), now))
        return versions[-1]

    async def get_definition(self, name: str, version: int = 0) -> Registered | None:
        """See Store.get_definition."""
        versions = self._definitions.get(name, [])
        if not 1 <= (version or len(versions)) <= len(versions):
            return None
        return versions[version - 1]

    async def list_definitions(self, after_name: str, limit: int) -> list[Registered]:
        """See Store.list_definitions."""
        names = sorted(name for name in self._definitions if name > after_name)[:limit]
        return [self._definitions[name][-1] for name in names]


def _conflict(append: Append) -> ConflictError:
    return ConflictError(append.saga_id, append.first_sequence)


def _place(row: SagaRow) -> tuple[float, str]:
    return row.create_time, row.id


def _meets(row: SagaRow, condition: Filter) -> bool:
    since, before = condition.created_from, condition.created_before
    return (
        (not condition.states or row.state in condition.states)
        and condition.definition_name in ("", row.definition_name)
        and condition.labels.items() <= row.labels.items()
        and (since is None or row.create_time >= since)
        and (before is None or row.create_time < before)
        and (not condition.needs_attention or row.needs_attention != "")
    )
