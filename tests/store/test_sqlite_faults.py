"""Full disks, failing disks and damage while the SQLite store is in use."""

import logging
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from amends_coordinator.core.facts import StepSucceeded
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.core.values import Payload
from amends_coordinator.store import SqliteStore
from amends_coordinator.store.interface import Append, StoreUnavailableError
from tests.store.conftest import OpenSqlite
from tests.store.store_sagas import NOW, definition, more, row, start, started

LARGE = StepSucceeded("s0", 1, Payload("bytes", bytes(300_000)))

LITTLE_ROOM = 250_000
"""Bytes: room in the log for what has been written so far and a little more, but not for LARGE."""


async def limit_pages(store: SqliteStore, extra: int) -> None:
    """Lets the file grow by so many pages and no more, as a full disk would."""

    def limit(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + extra}")

    await store._writer.run(limit)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Has the kernel fail every write of this process beyond this place in a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_writes_nothing_of_the_batch(sqlite: SqliteStore) -> None:
    await sqlite.append([start("a")])
    await limit_pages(sqlite, 4)
    with pytest.raises(StoreUnavailableError, match="full; make room on its disk"):
        await sqlite.append([start("b"), more("a", 2, LARGE)])
    assert await sqlite.get_row("b") is None
    assert len(await sqlite.read_log("a")) == 1


async def test_a_disk_with_little_room_is_not_filled_by_opening(open_sqlite: OpenSqlite, path: Path) -> None:
    """The log gives back the room that does not suffice: kept, it would leave none to be copied to."""
    with file_size_limit(1_000_000):
        store = await open_sqlite()
        assert path.with_name("amends.db-wal").stat().st_size < LITTLE_ROOM
        await store.append([start("a")])


async def test_service_resumes_when_there_is_room(sqlite: SqliteStore) -> None:
    await sqlite.append([start("a")])
    await limit_pages(sqlite, 4)
    with pytest.raises(StoreUnavailableError):
        await sqlite.append([more("a", 2, LARGE)])
    assert await sqlite.append([more("a", 2)]) == [None]  # small enough
    await limit_pages(sqlite, 1000)
    assert await sqlite.append([more("a", 3, LARGE)]) == [None]


async def test_a_full_disk_undoes_a_batch_with_a_conflict_whole(sqlite: SqliteStore) -> None:
    """Such a batch is written append by append, in one transaction all the same."""
    await sqlite.append([start("a")])
    await limit_pages(sqlite, 4)
    with pytest.raises(StoreUnavailableError):
        await sqlite.append([start("a"), start("b"), more("b", 2, LARGE)])
    assert await sqlite.get_row("b") is None
    assert await sqlite.append([start("b")]) == [None]


async def test_a_probe_fails_where_nothing_can_be_written(sqlite: SqliteStore) -> None:
    """And works again once something can."""
    await sqlite.append([start("a")])
    with file_size_limit(1), pytest.raises(StoreUnavailableError, match="disk"):
        await sqlite.probe()
    await sqlite.probe()


async def test_a_write_that_fails_during_the_commit_writes_nothing(sqlite: SqliteStore) -> None:
    await sqlite.append([start("a")])
    with file_size_limit(LITTLE_ROOM), pytest.raises(StoreUnavailableError, match="disk"):
        await sqlite.append([start("b"), more("a", 2, LARGE)])
    assert await sqlite.get_row("b") is None
    assert await sqlite.append([start("b"), more("a", 2, LARGE)]) == [None, None]


async def test_p1_what_follows_a_failed_commit_survives_reopening(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.append([start("a")])
    with file_size_limit(LITTLE_ROOM), pytest.raises(StoreUnavailableError):
        await store.append([more("a", 2, LARGE)])
    await store.append([more("a", 2)])
    await store.close()
    store = await SqliteStore.open(path)
    assert [event.sequence for event in await store.read_log("a")] == [1, 2]
    await store.close()


async def test_everything_that_writes_says_that_the_store_is_unavailable(sqlite: SqliteStore) -> None:
    await sqlite.append([start("a")])
    await sqlite.sleep({"a": NOW})
    await sqlite._writer.run(lambda connection: connection.execute("PRAGMA query_only = ON"))
    for writing in (
        sqlite.append([start("b")]),
        sqlite.sleep({"a": NOW + 1}),
        sqlite.take_due(NOW, 1),
        sqlite.put_definition(definition(), NOW),
    ):
        with pytest.raises(StoreUnavailableError):
            await writing
    assert await sqlite.next_wake_time() == NOW


async def test_a_mistake_of_ours_is_no_outage(sqlite: SqliteStore) -> None:
    """Repeating it would not help, and it must not pass for a conflict either."""
    wrong = replace(row("a"), end_time=NOW)  # RUNNING, and ended
    with pytest.raises(sqlite3.IntegrityError):
        await sqlite.append([Append(saga_id="a", first_sequence=1, time=NOW, facts=[started()], row=wrong)])


async def test_one_broken_log_does_not_hold_up_the_recovery_of_others(
    sqlite: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    await sqlite.append([start("a"), start("b"), more("b", 2)])
    await sqlite._writer.run(
        lambda connection: connection.execute("UPDATE events SET data = x'ff' WHERE sequence = 2")
    )
    with caplog.at_level(logging.ERROR):
        page = await sqlite.read_unfinished("", 10, NOW)
    assert [(saga_id, len(events)) for saga_id, events in page] == [("a", 1), ("b", 0)]
    assert "saga b: event 2 cannot be read" in caplog.text
    with pytest.raises(BrokenLogError, match="event 2"):
        await sqlite.read_log("b")


async def test_text_with_a_nul_is_kept_whole(sqlite: SqliteStore) -> None:
    """SQLite's text would end there; an operator shall see the rest."""
    await sqlite.append([start("a")])
    await sqlite.append([more("a", 2, renewed=row("a", needs_attention="x\0y"))])
    found = await sqlite.get_row("a")
    assert found is not None
    assert found.needs_attention == "x\N{REPLACEMENT CHARACTER}y"
