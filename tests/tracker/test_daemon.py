"""The daemon with a bus: choreographed sagas are shown beside those that it drives."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from amends import Client, NotFound, SagaState
from amends._bus.interface import Bus
from amends._bus.opening import bus_at
from sample_services.demo.processes import Process
from tests.addresses import free_address
from tests.tracker.conftest import PATIENCE_S
from tests.tracker.shop import Story, announce

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

    async def start(self, *options: str, bus: str = "") -> Process:
        """Starts a daemon on the bus, or on another one."""
        process = Process(
            "amends",
            [
                sys.executable, "-m", "amends_coordinator.cli", "serve", "--listen", self.listen,
                "--metrics", self.metrics, "--store", f"sqlite:///{self.folder}/amends.db",
                "--bus", bus or self.url, *options,
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
            env={**os.environ, "AMENDS_TARGET": self.listen},
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
                await asyncio.sleep(0.05)  # it tells nobody of sagas that nobody knows of yet


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
    print(told)
    print((await stage.command("get", "shop-2"))[1])
