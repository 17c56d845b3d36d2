"""Services whose database takes nothing in the moment in which they start or stop."""

import sqlite3
from contextlib import closing

import pytest

from amends._choreography import outbox
from amends._fence import opening
from amends.errors import StoreError
from tests.choreography.stage import Stage


async def test_a_service_whose_disk_is_full_as_it_stops_closes_all_the_same(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    service = sqlite_stage.shop.make("inventory")
    await service.start()
    engine = service._opened()
    monkeypatch.setattr(outbox, "unsent", full)
    await service.stop()
    assert engine._fence.async_db is None
    assert "is published once the service starts again: database or disk is full" in caplog.text


async def test_a_service_whose_store_is_held_by_another_process_as_it_starts_says_so_and_closes(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0.01)
    service = sqlite_stage.shop.make("inventory")
    open_bus = service._bus.open
    with closing(sqlite3.connect(sqlite_stage.shop.store("inventory"), isolation_level=None)) as other:

        async def open_and_hold() -> None:
            await open_bus()
            other.execute("BEGIN IMMEDIATE")

        service._bus.open = open_and_hold  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="database is locked; another process holds it"):
            await service.start()
        other.execute("ROLLBACK")
    service._bus.open = open_bus  # type: ignore[method-assign]
    await service.start()
    await service.stop()
