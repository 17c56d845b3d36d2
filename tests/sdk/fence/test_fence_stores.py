"""How stores open, refuse to, and forget."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amends import StoreError
from amends._fence import Fence, Ledger, MemoryFence, Row, SqliteFence, State
from amends._fence.ledger import TransactionLostError
from amends._transactions.gatherer import Gatherer
from amends._transactions.retention import SWEEP_ROWS, sweep

ROW = Row(State.TRIED, "act", b"hash", b"answer")


@pytest.fixture(params=["sqlite", "memory"])
async def fence(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fence]:
    fence: Fence = SqliteFence(tmp_path / "shop.db") if request.param == "sqlite" else MemoryFence()
    await fence.open()
    yield fence
    await fence.close()


def put(ledger: Ledger, *keys: tuple[str, str], row: Row = ROW) -> None:
    ledger.begin()
    for key in keys:
        ledger.put(key, row)
    ledger.commit()


async def test_a_row_is_found_as_it_was_put(fence: Fence) -> None:
    await fence.run(lambda ledger: put(ledger, ("s", "a")))
    assert await fence.run(lambda ledger: ledger.get(("s", "a"))) == ROW
    assert await fence.run(lambda ledger: ledger.get(("s", "b"))) is None


async def test_a_row_is_seen_before_the_commit_and_not_after_a_rollback(fence: Fence) -> None:
    def work(ledger: Ledger) -> Row | None:
        ledger.begin()
        ledger.put(("s", "a"), ROW)
        seen = ledger.get(("s", "a"))
        ledger.rollback()
        return seen

    assert await fence.run(work) == ROW
    assert await fence.run(lambda ledger: ledger.get(("s", "a"))) is None


async def test_a_row_takes_the_place_of_the_one_before(fence: Fence) -> None:
    undone = ROW._replace(state=State.COMPENSATED)
    await fence.run(lambda ledger: put(ledger, ("s", "a")))
    await fence.run(lambda ledger: put(ledger, ("s", "a"), row=undone))
    assert await fence.run(lambda ledger: ledger.get(("s", "a"))) == undone


async def test_retention_removes_old_rows_a_few_at_a_time(fence: Fence) -> None:
    await fence.run(lambda ledger: put(ledger, *((f"s{n}", "a") for n in range(SWEEP_ROWS + 3))))
    gatherer = Gatherer(fence)
    assert await sweep(gatherer, before=0) == 0
    assert [await sweep(gatherer, before=4e9) for _ in range(3)] == [SWEEP_ROWS, 3, 0]
    await gatherer.close()


async def test_rows_outlast_the_process(tmp_path: Path) -> None:
    for _ in range(2):
        fence = SqliteFence(tmp_path / "shop.db")
        await fence.open()
        found = await fence.run(lambda ledger: ledger.get(("s", "a")))
        await fence.run(lambda ledger: put(ledger, ("s", "a")))
        await fence.close()
    assert found == ROW


async def test_a_handlers_row_factory_is_its_own(tmp_path: Path) -> None:
    fence = SqliteFence(tmp_path / "shop.db")
    await fence.open()

    def work(ledger: Ledger) -> Row | None:
        assert ledger.db is not None
        ledger.db.row_factory = sqlite3.Row
        put(ledger, ("s", "a"))
        return ledger.get(("s", "a"))

    assert await fence.run(work) == ROW
    await fence.close()


async def test_p4_a_commit_of_a_transaction_that_sql_has_ended_is_an_error_and_writes_nothing(
    tmp_path: Path,
) -> None:
    fence = SqliteFence(tmp_path / "shop.db", "CREATE TABLE parcels (id TEXT PRIMARY KEY) STRICT")
    await fence.open()

    def work(ledger: Ledger) -> Row | None:
        assert ledger.db is not None
        ledger.begin()
        ledger.put(("s", "a"), ROW)
        ledger.db.execute("INSERT INTO parcels VALUES ('p')")
        with pytest.raises(sqlite3.IntegrityError):
            ledger.db.execute("INSERT OR ROLLBACK INTO parcels VALUES ('p')")
        with pytest.raises(TransactionLostError):
            ledger.commit()
        ledger.rollback()
        return ledger.get(("s", "a"))

    assert await fence.run(work) is None
    await fence.close()


async def test_a_closed_fence_does_no_work_and_may_be_closed_again(tmp_path: Path) -> None:
    fence = SqliteFence(tmp_path / "shop.db")
    await fence.close()
    await fence.open()
    await fence.close()
    await fence.close()
    with pytest.raises(RuntimeError, match="not open"):
        await fence.run(lambda ledger: ledger.get(("s", "a")))


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    fence = SqliteFence(tmp_path / "shop.db")
    await fence.open()

    def pragma(name: str) -> object:
        return lambda ledger: ledger.db.execute(f"PRAGMA {name}").fetchone()[0]

    assert await fence.run(pragma("journal_mode")) == "wal"  # type: ignore[arg-type]
    assert await fence.run(pragma("synchronous")) == 2  # type: ignore[arg-type]
    await fence.close()


async def refused(path: Path, schema: str = "") -> str:
    with pytest.raises(StoreError) as failure:
        await SqliteFence(path, schema).open()
    assert "\n" not in str(failure.value)
    return str(failure.value)


async def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "check that its folder exists" in await refused(tmp_path / "missing" / "shop.db")


async def test_a_store_without_a_write_ahead_log_is_refused() -> None:
    """As it is on a network's disk, or in memory: the log is what a commit syncs."""
    assert "put it on a local disk" in await refused(Path(":memory:"))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_bytes(b"no database at all" * 100)
    assert "it is no SQLite database" in await refused(tmp_path / "shop.db")


async def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    damaged = bytearray(path.read_bytes())
    damaged[100:4000] = b"\xff" * 3900
    path.write_bytes(damaged)
    assert "restore it from a backup" in await refused(path)


async def test_a_newer_fence_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE amends_fence_version (version INTEGER NOT NULL) STRICT")
        connection.execute("INSERT INTO amends_fence_version VALUES (99)")
    connection.close()
    assert "install the newer version" in await refused(tmp_path / "shop.db")


async def test_a_table_of_the_same_name_and_another_shape_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE amends_fence (updated_at, other)")
    connection.close()
    assert "another shape" in await refused(tmp_path / "shop.db")


async def test_a_locked_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amends._fence.opening.BUSY_TIMEOUT_S", 0.01)
    other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "another process holds it" in await refused(tmp_path / "shop.db")
    other.close()


@pytest.mark.parametrize("schema", ["CREATE TABEL x (y)", "BEGIN"])
async def test_a_schema_that_does_not_work_is_refused(tmp_path: Path, schema: str) -> None:
    assert "schema" in await refused(tmp_path / "shop.db", schema)
