"""The stage of a round: all processes, in one folder, the bus between them, and the links to it."""

import asyncio
import os
import sys
import time
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sample_services.demo.broker import broker
from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT, free_addresses
from tests.chaos.choreography.plan import BUS, TRACKER, Plan
from tests.chaos.choreography.shapes import DESK
from tests.chaos.disk import Disk
from tests.chaos.plan import CUSTOMERS
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
    door: str
    """Where customers knock."""
    api: str
    """Where the tracker is asked."""
    server: str
    """Where the server of a bus on NATS listens."""
    mutant: str = ""
    """The fault that is put into the services on purpose."""
    links: dict[str, Link] = field(default_factory=dict)
    """By the process whose way to the bus they are, where that is a network."""
    wards: dict[str, Ward] = field(default_factory=dict)
    """The processes, by name; customers too, and the bus's server."""

    def store(self, name: str) -> Path:
        """The file in which a service, or the bus, keeps everything."""
        disk = self.disk if name == self.plan.on_small_disk else None
        return (self.folder if disk is None else disk.folder) / f"{name}.db"

    def bus_url(self, process: str = "") -> str:
        """Where a process finds the bus; without one, where nothing stands in the way."""
        if self.plan.bus == "sqlite":
            return f"sqlite:///{self.store(BUS)}"
        return f"nats://{self.links[process].listen if process else self.server}"

    def notebook(self, customer: str) -> Path:
        """The file in which a customer keeps what it was told."""
        return self.folder / f"{customer}.notes"

    def log(self, name: str) -> Path:
        """The output of a process, of all its lives."""
        return self.folder / ("nats-server.log" if name == BUS else f"{name}.log")

    @property
    def mended(self) -> Path:
        """The file that says that no handler is broken any more."""
        return self.folder / "mended"

    @property
    def customers(self) -> list[Ward]:
        """Those who begin sagas."""
        return [self.wards[name] for name in CUSTOMERS]

    @property
    def services(self) -> list[Ward]:
        """Those who deal with events, relays, and the tracker."""
        return [self.wards[name] for name in (*self.plan.relays, *self.plan.workers, TRACKER)]

    async def begin(self) -> None:
        """Starts all processes. Raises TimeoutError if one does not come up."""
        # A consumer receives what is published after it was first named: nobody begins before all are there.
        servers = [BUS] if BUS in self.wards else []
        for names in (servers, self.plan.workers, [*self.plan.relays, TRACKER, *CUSTOMERS]):
            for name in names:
                self.wards[name].begin()
            await self.until_up(names)

    async def until_up(self, names: Iterable[str]) -> None:
        """Waits until processes run. Raises TimeoutError if that takes very long."""
        async with asyncio.timeout(UP_BOUND):
            for name in names:
                await self.wards[name].up.wait()

    def missing(self) -> list[str]:
        """The processes that do not run."""
        return [name for name, ward in self.wards.items() if not ward.up.is_set()]


@asynccontextmanager
async def opened(plan: Plan, folder: Path, disk: Disk | None, mutant: str = "") -> AsyncIterator[Stage]:
    """Makes a stage with its links, and leaves none of its processes behind, whatever happens.

    Raises ProcessError if there is no server for the bus here.
    """
    stage = _build(plan, folder, disk, mutant)
    try:
        async with TaskGroup() as group:
            for link in stage.links.values():
                group.create_task(link.open())
        yield stage
    finally:
        for ward in stage.wards.values():
            await ward.abandon()
        for link in stage.links.values():
            await link.close()


def _build(plan: Plan, folder: Path, disk: Disk | None, mutant: str) -> Stage:
    processes = (*plan.workers, *plan.relays, TRACKER)
    door, api, server, *others = free_addresses(3 + len(processes))
    stage = Stage(folder=folder, disk=disk, plan=plan, door=door, api=api, server=server, mutant=mutant)
    if plan.bus == "nats":
        stage.links.update({name: Link(each, server) for name, each in zip(processes, others, strict=True)})
        stage.wards[BUS] = Ward(broker(folder, server))
    for name, service in plan.workers.items():
        stage.wards[name] = _ward(stage, name, service, _worker_command(stage, name, service))
    for name, service in plan.relays.items():
        stage.wards[name] = _ward(
            stage, name, service, _relay_command(stage, name, service), sign="relay: .*"
        )
    stage.wards[TRACKER] = _ward(stage, TRACKER, TRACKER, _tracker_command(stage))
    for name in CUSTOMERS:
        command = ["customer", name, door, str(stage.notebook(name)), str(plan.seed)]
        stage.wards[name] = _ward(stage, name, name, command)
    return stage


def _ward(stage: Stage, name: str, service: str, arguments: list[str], sign: str = "") -> Ward:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AMENDS_", "OTEL_"))}
    program, *rest = arguments
    command = [sys.executable, "-m", f"tests.chaos.choreography.{program}", *rest]
    if stage.mutant and name not in CUSTOMERS:
        command = [sys.executable, "-m", "tests.chaos.choreography.mutated", stage.mutant, program, *rest]
    sign = rf"{sign or f'{service}: listening on .*'}\s*"
    process = Process(name, command, log=stage.log(name), cwd=ROOT, env=env, sign=sign)
    disk = stage.disk
    if disk is not None and stage.plan.on_small_disk in (service, BUS):
        return Ward(process, last_full=lambda: disk.last_full)
    if [*stage.plan.workers.values(), *stage.plan.relays.values()].count(service) > 1:
        # Another process of its store may have been stopped within a transaction.
        return Ward(process, last_full=time.monotonic)
    return Ward(process)


def _worker_command(stage: Stage, name: str, service: str) -> list[str]:
    command = ["worker", service, stage.bus_url(name), f"sqlite:///{stage.store(service)}"]
    command += [f"{stage.plan.seed} {name}", str(stage.mended)]
    command += ["relay" if name in stage.plan.publishing else "none"]
    return [*command, stage.door] if service == DESK else command


def _relay_command(stage: Stage, name: str, service: str) -> list[str]:
    store = f"sqlite:///{stage.store(service)}"
    return ["command", "relay", "--store", store, "--bus", stage.bus_url(name)]


def _tracker_command(stage: Stage) -> list[str]:
    # With no participant it would have to be told where there is one.
    command = [
        "command",
        "serve",
        "--listen",
        stage.api,
        "--metrics",
        "off",
        "--participant",
        "nobody=127.0.0.1:1",
    ]
    return [*command, "--store", f"sqlite:///{stage.store(TRACKER)}", "--bus", stage.bus_url(TRACKER)]
