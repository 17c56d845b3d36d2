"""Buses to test: the suite runs against each of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from amends._bus.interface import Bus
from amends._bus.opening import bus_at
from tests.bus.nats_server import NatsServer, running

OpenBus = Callable[[], Awaitable[Bus]]


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A NATS server of the test's own."""
    async with running(tmp_path / "nats") as server:
        yield server


@pytest.fixture(params=["sqlite", "nats"])
async def bus_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where a bus is: of every kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bus.db'}"
        return
    async with running(tmp_path / "nats") as server:
        yield server.url()


@pytest.fixture
async def open_bus(bus_url: str) -> AsyncIterator[OpenBus]:
    """Opens a bus as another process would, as often as it is called, and closes all in the end."""
    async with AsyncExitStack() as stack:

        async def open_one() -> Bus:
            bus = bus_at(bus_url)
            stack.push_async_callback(bus.close)
            await bus.open()
            return bus

        yield open_one


@pytest.fixture
async def bus(open_bus: OpenBus) -> Bus:
    """An open bus."""
    return await open_bus()
