"""The daemon with a bus: choreographed sagas are shown beside those that it drives."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from amends import Client, Definition, NotFound, SagaState, Step
from amends._bus.interface import Bus
from amends._bus.opening import bus_at
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc
from amends_coordinator.cli._exits import ExitStatus
from sample_services.demo.processes import Process
from tests.addresses import free_address
from tests.bus.nats_server import NatsServer, running
from tests.choreography.conftest import few_partitions
from tests.tracker.conftest import PATIENCE_S
from tests.tracker.shop import Story, announce

__all__ = ["few_partitions"]

ROOT = Path(__file__).resolve().parents[2]


class Stage:
    """A folder with a bus and a store, and daemons on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listen = free_address()
        self.metrics = "off"
        self.processes: list[Process] = []

    async def open(self) -> None:
        self.url = f"sqlite:///{self.folder}/bus.db"
        self.bus: Bus = bus_at(self.url)
        await self.bus.open()
        await announce(self.bus)

    async def start(self, *options: str) -> Process:
        """Starts a daemon on the bus."""
        process = Process(
            "amends",
            [
                sys.executable, "-m", "amends_coordinator.cli", "serve", "--listen", self.listen,
                "--metrics", self.metrics, "--store", f"sqlite:///{self.folder}/amends.db",
                "--bus", self.url, "--participant", f"nobody={free_address()}", *options,
            ],
            log=self.folder / "amends.log",
            cwd=ROOT,
            env=dict(os.environ),
        )  # fmt: skip
        self.processes.append(process)
        await process.start()
        return process

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Runs `amends` and returns its exit status and what it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "amends_coordinator.cli", *arguments, cwd=ROOT,
            env={**os.environ, "AMENDS_TARGET": self.listen, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def close(self) -> None:
        for process in self.processes:
            await process.stop()
        await self.bus.close()

    async def until_shown(self, saga_id: str, state: SagaState = SagaState.RUNNING) -> None:
        """Waits until an unfinished saga is shown in a state."""
        async with asyncio.timeout(PATIENCE_S), Client(self.listen) as client:
            while True:
                if [saga async for saga in client.list(states=[state]) if saga.id == saga_id]:
                    return
                await asyncio.sleep(0.05)  # nobody tells of sagas that become known, or stall

    async def until(self, saga_id: str, state: SagaState) -> Any:
        """Waits until a saga is shown in a state, and returns it."""
        async with asyncio.timeout(PATIENCE_S), Client(self.listen) as client:
            while True:
                try:
                    async for _ in client.watch(saga_id):
                        pass
                    found = await client.get(saga_id)
                    if found.state is state:
                        return found
                except NotFound:
                    pass
                await asyncio.sleep(0.05)  # nobody tells of sagas that become known


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose processes are gone when the test is over."""
    stage = Stage(tmp_path)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


async def test_a_choreographed_saga_is_listed_shown_and_told(stage: Stage) -> None:
    await stage.bus.publish(Story("shop-1").completed().messages())
    await stage.bus.publish(Story("shop-2").compensated().messages())
    await stage.start()
    await stage.until("shop-1", SagaState.COMPLETED)
    await stage.until("shop-2", SagaState.COMPENSATED)
    status, listed = await stage.command("list")
    assert status == 0
    assert [line.split()[:3] for line in listed.splitlines()[1:]] == [
        ["shop-2", "orders.place", "COMPENSATED"],
        ["shop-1", "orders.place", "COMPLETED"],
    ]
    assert (await stage.command("get", "shop-2"))[0] == 3
    status, told = await stage.command("watch", "shop-2")
    assert status == 3
    assert [" ".join(line.split()[2:]) for line in told.splitlines()] == [
        "- saga started orders.place",
        "orders.place succeeded OrderPlaced",
        "inventory.reserve succeeded StockReserved, after OrderPlaced of orders.place",
        "payments.charge rejected PaymentFailed, after StockReserved of inventory.reserve",
        "- turns back payments.charge was rejected: PaymentFailed",
        "inventory.reserve compensated StockReleased, after PaymentFailed of payments.charge",
        "orders.place compensated OrderCancelled, after PaymentFailed of payments.charge",
        "- saga compensated",
    ]
    assert (await stage.command("history", "shop-2"))[1] == told
    status, shown = await stage.command("get", "shop-2")
    assert status == 3
    assert "orders.place (choreographed)" in shown
    assert "What you can do" not in shown


async def test_driven_sagas_are_beside_them_on_every_page(stage: Stage) -> None:
    """An id that both have is shown as the one that is driven."""
    await stage.bus.publish(Story("shop-1").completed().messages())
    await stage.bus.publish(Story("driven-1").completed().messages())
    await stage.start()
    await stage.until("shop-1", SagaState.COMPLETED)
    async with Client(stage.listen) as client:
        for number in range(3):
            await client.start(
                Definition("wait", [Step("s", "nobody", "do")]), {}, saga_id=f"driven-{number}"
            )
        listed = [saga.id async for saga in client.list()]
        assert sorted(listed) == ["driven-0", "driven-1", "driven-1", "driven-2", "shop-1"]
        driven, followed = await client.get("driven-1"), await client.get("shop-1")
        assert (driven.definition.name, driven.choreographed) == ("wait", False)
        assert (followed.definition.name, followed.choreographed) == ("orders.place", True)
        assert [saga.id async for saga in client.list(states=[SagaState.STALLED])] == []
        paged, token = [], ""
        async with grpc.aio.insecure_channel(stage.listen) as channel:
            stub: Any = coordinator_pb2_grpc.CoordinatorStub(channel)
            while True:
                request = coordinator_pb2.ListSagasRequest(page_size=2, page_token=token)
                page = await stub.ListSagas(request)
                paged += [saga.id for saga in page.sagas]
                token = page.next_page_token
                if not token:
                    break
        assert paged == listed
        assert (await client.cancel("driven-1")).turn_back is not None


async def test_nobody_commands_a_choreographed_saga(stage: Stage) -> None:
    story = Story("shop-1")
    story.tell("OrderPlaced", "orders.place")
    await stage.bus.publish(story.messages())
    await stage.start()
    await stage.until_shown("shop-1")
    for wish in (
        ("cancel", "shop-1"),
        ("retry", "shop-1"),
        ("resolve", "shop-1", "inventory.reserve", "--as", "succeeded", "--reason", "seen"),
    ):
        status, said = await stage.command(*wish)
        assert status == 1
        assert "carried on by its services: the coordinator follows it, and cannot command it" in said
        assert "(SAGA_IS_CHOREOGRAPHED)" in said


async def test_a_killed_daemon_goes_on_where_it_was(stage: Stage) -> None:
    story = Story("shop-1").completed()
    await stage.bus.publish(story.messages()[:2])
    daemon = await stage.start()
    await stage.until_shown("shop-1")
    await daemon.kill()
    await stage.bus.publish(story.messages(2))
    await daemon.start()
    saga = await stage.until("shop-1", SagaState.COMPLETED)
    assert saga.sequence == 6


async def test_an_id_beyond_ascii_is_shown_like_any_other(stage: Stage) -> None:
    await stage.bus.publish(Story("Bestellung №7").completed().messages())
    await stage.start()
    await stage.until("Bestellung №7", SagaState.COMPLETED)
    assert "Bestellung №7" in (await stage.command("list"))[1]
    assert (await stage.command("get", "Bestellung №8"))[0] == ExitStatus.NOT_FOUND
    assert (await stage.command("get", "x" * 300))[0] == ExitStatus.USAGE


async def test_silence_is_told_by_state_metric_and_log(stage: Stage) -> None:
    story = Story("shop-1")
    story.tell("OrderPlaced", "orders.place")
    await stage.bus.publish(story.messages())
    stage.metrics = free_address()
    await stage.start("--stall-after", "1s", "--log-format", "json")
    await stage.until_shown("shop-1", SagaState.STALLED)
    status, shown = await stage.command("get", "shop-1")
    assert status == 4
    assert "inventory has not reacted to OrderPlaced for 1 second" in shown
    assert "amends dead-letters list --saga shop-1" in shown
    lines = [
        json.loads(line) for line in (stage.folder / "amends.log").read_text().splitlines() if line[0] == "{"
    ]
    assert [line["saga_id"] for line in lines if line.get("action") == "saga_stalled"] == ["shop-1"]
    reader, writer = await asyncio.open_connection(*stage.metrics.split(":"))
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    scraped = (await reader.read()).decode()
    writer.close()
    assert "amends_choreographed_sagas_stalled_total 1.0" in scraped
    assert "amends_choreography_events_total 1.0" in scraped


@pytest.mark.parametrize(
    ("bus", "words"),
    [
        ("kafka://host", "must be sqlite:///PATH or nats://HOST:PORT"),
        ("sqlite:////dev/null", "/dev/null"),
    ],
)
async def test_a_bus_that_cannot_be_used_is_refused_at_start(stage: Stage, bus: str, words: str) -> None:
    status, said = await stage.command("serve", "--listen", stage.listen, "--metrics", "off", "--bus", bus,
                                       "--store", f"sqlite:///{stage.folder}/amends.db")  # fmt: skip
    assert status != 0
    assert len(said.splitlines()) == 1
    assert words in said


async def test_a_nats_bus_that_refuses_the_credentials_is_refused_at_start(
    stage: Stage, tmp_path: Path
) -> None:
    settings = 'authorization { user: shop, password: "right" }'
    async with running(tmp_path / "nats", settings=settings) as server:
        status, said = await stage.command(
            "serve", "--listen", stage.listen, "--metrics", "off", "--bus", f"nats://shop:wrong@{server.address}",
            "--store", f"sqlite:///{stage.folder}/amends.db",
        )  # fmt: skip
    assert status == 1
    assert "Traceback" not in said
    assert "wrong" not in said
    assert server.address in said


async def test_a_nats_bus_that_is_away_at_start_and_later_is_waited_for(stage: Stage, tmp_path: Path) -> None:
    """Sagas that are driven are served meanwhile."""
    server = NatsServer(tmp_path / "nats")
    stage.url = server.url()
    await stage.start()
    assert await stage.command("list") == (0, "no sagas\n")
    await server.start()
    try:
        bus = bus_at(server.url())
        await bus.open()
        await announce(bus)
        await bus.publish(Story("shop-1").completed().messages())
        await stage.until("shop-1", SagaState.COMPLETED)
        await server.kill()
        await server.start()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                told = await bus.publish(Story("shop-2").completed().messages())
                if not isinstance(told[-1], Exception):
                    break
                await asyncio.sleep(0.05)  # its client finds the server again by itself
        await stage.until("shop-2", SagaState.COMPLETED)
        await bus.close()
    finally:
        await server.stop()
