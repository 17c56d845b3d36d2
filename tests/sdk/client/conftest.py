from collections.abc import AsyncIterator

import pytest
from fake_coordinator import FakeCoordinator, FakeServer

from amends import Client, Definition, Step


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
