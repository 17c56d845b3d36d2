"""Stores on real files, and in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from amends_coordinator.store import MemoryStore, SqliteStore
from amends_coordinator.store.interface import Store

OpenSqlite = Callable[[], Awaitable[SqliteStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "amends.db"


@pytest.fixture
async def open_sqlite(path: Path) -> AsyncIterator[OpenSqlite]:
    """Opens the store at ``path``, and closes whatever the test left open."""
    opened: list[SqliteStore] = []

    async def open_() -> SqliteStore:
        opened.append(await SqliteStore.open(path))
        return opened[-1]

    yield open_
    for store in opened:
        await store.close()


@pytest.fixture
async def sqlite(open_sqlite: OpenSqlite) -> SqliteStore:
    return await open_sqlite()


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Store]:
    """Each kind of store: what is tested with it holds for both."""
    opened: Store = await SqliteStore.open(path) if request.param == "sqlite" else MemoryStore()
    yield opened
    await opened.close()
