import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from amends import Client, Definition, Step
from tests.sdk.client.fake_coordinator import FakeCoordinator, FakeServer


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    server = FakeServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def coordinator(server: FakeServer) -> FakeCoordinator:
    return server.coordinator


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with Client(server.target, patience=10) as client:
        yield client


@pytest.fixture
def order() -> Definition:
    return Definition(
        "order", [Step("reserve", "inventory", "reserve"), Step("charge", "payments", "charge")]
    )


@pytest.fixture
def distant() -> Iterator[FakeServer]:
    """A server that is not on this thread's loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> FakeServer:
        server = FakeServer()
        server.coordinator.auto_complete = True
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
