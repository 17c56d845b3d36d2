"""The stage of a round: all processes, in one folder, and the links between them."""

import asyncio
import os
import sys
from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from amends import Client
from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT, free_addresses
from tests.chaos.disk import Disk
from tests.chaos.plan import COORDINATOR, CUSTOMERS, Plan
from tests.chaos.proxy import Link
from tests.chaos.ward import Ward

UP_BOUND: Final = 30.0
"""Seconds in which everything must run that nobody harms, on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that can be harmed, and where its files are."""

    folder: Path
    """Where stores, notebooks and logs are."""
    disk: Disk | None
    """The disk that can be filled, where the machine allows one."""
    plan: Plan
    """Who is there."""
    address: str
    """Where the coordinator itself listens."""
    links: dict[str, Link]
    """By the process that they lead to."""
    wards: dict[str, Ward] = field(default_factory=dict)
    """The processes, by name; customers too."""

    def store(self, name: str) -> Path:
        """The file in which the coordinator or a participant keeps everything."""
        disk = self.disk if name == self.plan.on_small_disk else None
        return (self.folder if disk is None else disk.folder) / f"{name}.db"

    def book(self, participant: str) -> Path:
        """The file of the provider that a participant calls."""
        return self.folder / f"{participant}.provider.db"

    def notebook(self, customer: str) -> Path:
        """The file in which a customer keeps what it was told."""
        return self.folder / f"{customer}.notes"

    def log(self, name: str) -> Path:
        """The output of a process, of all its lives."""
        return self.folder / f"{name}.log"

    @property
    def services(self) -> list[Ward]:
        """Coordinator and participants."""
        return [self.wards[name] for name in (COORDINATOR, *self.plan.participants)]

    @property
    def customers(self) -> list[Ward]:
        """Those who start sagas."""
        return [self.wards[name] for name in CUSTOMERS]

    async def until_up(self) -> None:
        """Waits until everything runs. Raises TimeoutError if that takes very long."""
        async with asyncio.timeout(UP_BOUND):
            for ward in self.wards.values():
                await ward.up.wait()

    def client(self) -> Client:
        """A client that nothing stands in the way of."""
        return Client(self.address)


@asynccontextmanager
async def opened(plan: Plan, folder: Path, disk: Disk | None) -> AsyncIterator[Stage]:
    """Starts all processes, and leaves none behind, whatever happens."""
    stage = _build(plan, folder, disk)
    try:
        async with TaskGroup() as group:
            for link in stage.links.values():
                group.create_task(link.open())
        for ward in stage.wards.values():
            ward.begin()
        yield stage
    finally:
        for ward in stage.wards.values():
            await ward.abandon()
        for link in stage.links.values():
            await link.close()


def _build(plan: Plan, folder: Path, disk: Disk | None) -> Stage:
    names = (COORDINATOR, *plan.participants)
    addresses = free_addresses(2 * len(names))
    servers = dict(zip(names, addresses, strict=False))
    links = {
        name: Link(listen, servers[name]) for name, listen in zip(names, addresses[len(names) :], strict=True)
    }
    stage = Stage(folder=folder, disk=disk, plan=plan, address=servers[COORDINATOR], links=links)
    stage.wards[COORDINATOR] = _ward(stage, COORDINATOR, _coordinator_command(stage))
    for name in plan.participants:
        stage.wards[name] = _ward(stage, name, _participant_command(stage, name, servers[name]))
    for name in CUSTOMERS:
        stage.wards[name] = _ward(stage, name, _customer_command(stage, name))
    return stage


def _ward(stage: Stage, name: str, arguments: list[str]) -> Ward:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AMENDS_", "OTEL_"))}
    command = [sys.executable, "-m", *arguments]
    process = Process(name, command, log=stage.log(name), cwd=ROOT, env=env)
    if stage.disk is not None and name == stage.plan.on_small_disk:
        disk = stage.disk
        return Ward(process, last_full=lambda: disk.last_full)
    return Ward(process)


def _coordinator_command(stage: Stage) -> list[str]:
    command = ["amends_coordinator.cli", "serve", "--listen", stage.address, "--metrics", "off"]
    command += ["--store", f"sqlite:///{stage.store(COORDINATOR)}"]
    command += ["--max-live-sagas", str(stage.plan.max_live_sagas)]
    for name in stage.plan.participants:
        command += ["--participant", f"{name}={stage.links[name].listen}"]
    return command


def _participant_command(stage: Stage, name: str, address: str) -> list[str]:
    way = "unary" if name in stage.plan.by_unary_calls else "exchange"
    return [
        "tests.chaos.participant", name, address, f"sqlite:///{stage.store(name)}", str(stage.book(name)),
        f"{stage.plan.seed} {name}", way,
    ]  # fmt: skip


def _customer_command(stage: Stage, name: str) -> list[str]:
    return [
        "tests.chaos.customer", name, stage.links[COORDINATOR].listen, str(stage.notebook(name)),
        str(stage.plan.seed), *stage.plan.participants,
    ]  # fmt: skip
