"""Whether a collector is down or hangs: sagas go on, logs stay short, and stops stay quick."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from amends import SagaState
from tests.addresses import free_address
from tests.observability.conftest import Stage, sequence

STOP_BOUND_S = 15.0
"""Two seconds each for RPCs under way and for the collector, five for calls in flight; the rest is for a
machine that has much else to do."""


@pytest.fixture(params=["down", "hanging"])
async def no_collector(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of a collector that takes nothing."""
    if request.param == "down":
        yield free_address()
        return
    leaving = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leaving.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    leaving.set()
    server.close()
    await server.wait_closed()


async def test_sagas_logs_and_stops_do_not_depend_on_a_collector(stage: Stage, no_collector: str) -> None:
    stage.variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{no_collector}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
    }
    party = await stage.start_party()
    daemon = await stage.start_daemon("--log-format", "json")
    async with stage.client() as client:
        for _ in range(40):
            saga = await client.run(sequence("two", "do", "do"), {})
            assert saga.state is SagaState.COMPLETED
        for process in (daemon, party):
            begun = time.monotonic()
            await process.stop()
            assert time.monotonic() - begun < STOP_BOUND_S
    for name in ("amends", "party"):
        log = stage.log(name)
        assert "Traceback" not in log
        assert len(log.splitlines()) < 12
    complaints = [line for line in stage.log("amends").splitlines() if "Starting" not in line]
    assert all(line.startswith(("{", "amends: ")) for line in complaints)
