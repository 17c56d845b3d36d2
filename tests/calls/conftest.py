from collections.abc import AsyncIterator

import pytest

from tests.calls.fake_participant import Connect, FakeParticipant, Rig, Serve


@pytest.fixture(params=["exchange", "unary"])
def way(request: pytest.FixtureRequest) -> str:
    """Which way calls go; what a call means does not depend on it."""
    return str(request.param)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts participants, and stops them after the test."""
    servers: list[FakeParticipant] = []

    async def start(way: str = "exchange") -> FakeParticipant:
        server = FakeParticipant(exchange=way == "exchange")
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes callers, and closes them after the test."""
    rigs: list[Rig] = []

    def make(server: FakeParticipant, limit: int = 100) -> Rig:
        rigs.append(Rig(server.address, limit=limit))
        return rigs[-1]

    yield make
    for rig in rigs:
        await rig.close()
