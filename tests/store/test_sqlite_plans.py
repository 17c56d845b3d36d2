"""What the SQLite store asks of SQLite: one commit for a batch, and an index for every query."""

import re
import sqlite3
import struct
from pathlib import Path

import pytest

from amends_coordinator.core.transitions import SagaState
from amends_coordinator.store import SqliteStore, queries
from tests.store.store_sagas import NOW, more, row, start, whole

READING = sorted(name for name, text in queries.NAMED.items() if text.startswith("SELECT"))

TIES = "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"
"""Sorts, by id, only sagas that were created in the same microsecond."""


def commits(path: Path) -> int:
    """Counts the commits in the write-ahead log: frames that name the size of the database after them."""
    data = path.with_name(path.name + "-wal").read_bytes()
    (page_size,) = struct.unpack_from(">I", data, 8)
    salts = data[16:24]
    headers = [data[at : at + 24] for at in range(32, len(data), 24 + page_size)]
    return sum(header[4:8] != bytes(4) for header in headers if header[8:16] == salts)


async def test_a_batch_is_one_commit_however_many_sagas_it_holds(sqlite: SqliteStore, path: Path) -> None:
    before = commits(path)
    for batch in (1, 2):
        names = [f"saga-{batch}-{number}" for number in range(64)]
        await sqlite.append([append for name in names for append in (start(name), more(name, 2))])
        assert commits(path) == before + batch


async def test_a_batch_with_a_conflict_is_one_commit_too(sqlite: SqliteStore, path: Path) -> None:
    await sqlite.append([start("a")])
    before = commits(path)
    assert [one is None for one in await sqlite.append([start("b"), start("a"), start("c")])] == [
        True,
        False,
        True,
    ]
    assert commits(path) == before + 1


async def test_every_commit_is_synced(sqlite: SqliteStore) -> None:
    def settings(connection: sqlite3.Connection) -> list[object]:
        return [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
        ]

    assert await sqlite._writer.run(settings) == [2, "wal"]


async def plan(store: SqliteStore, name: str) -> list[str]:
    statement = queries.NAMED[name]
    arguments = dict.fromkeys(re.findall(r":(\w+)", statement), 1)

    def explain(connection: sqlite3.Connection) -> list[str]:
        return [found[3] for found in connection.execute(f"EXPLAIN QUERY PLAN {statement}", arguments)]

    return await store._reader.run(explain)


@pytest.mark.parametrize("name", [*READING, "remove_ended", "remove_tracked", "wake"])
async def test_no_query_scans_or_sorts_a_table(sqlite: SqliteStore, name: str) -> None:
    """So that a page costs what it shows, however many sagas there are."""
    for ended in range(200):
        await sqlite.append(whole(row(f"saga-{ended}", NOW + ended, SagaState.COMPLETED)))
    steps = await plan(sqlite, name)
    assert steps
    for step in steps:
        assert not re.match(r"SCAN (?!(json_each|wanted|label)\b)", step), steps
        assert "TEMP B-TREE" not in step or step == TIES, steps
