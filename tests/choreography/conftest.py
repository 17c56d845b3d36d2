"""Stages for cases, on every kind of bus in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amends._bus.nats import stream
from tests.bus.conftest import bus_url, nats
from tests.bus.nats_server import NatsServer
from tests.bus.patience import shorten_leases
from tests.choreography.stage import Stage, staged

__all__ = ["bus_url", "nats"]


@pytest.fixture(autouse=True)
def few_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares servers hundreds of consumers, of which these tests have no use."""
    monkeypatch.setattr(stream, "PARTITIONS", 4)


@pytest.fixture
async def stage(bus_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A shop that is not started yet, on each bus."""
    async with staged(bus_url, tmp_path) as made:
        yield made


@pytest.fixture
async def sqlite_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The same on SQLite alone, for what has nothing to do with buses."""
    async with staged(f"sqlite:///{tmp_path / 'bus.db'}", tmp_path) as made:
        yield made


@pytest.fixture
async def nats_stage(
    nats: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """The same on NATS alone, whose server the test may stop and start."""
    shorten_leases(monkeypatch.setattr)
    async with staged(nats.url(), tmp_path) as made:
        yield made
