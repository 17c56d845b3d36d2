"""The stage: a bus and four services, each a process of its own, in one folder."""

import sys
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sample_services.book import Book, Bookkeeping
from sample_services.demo.choreographed.buses import DemoBus, bus_called
from sample_services.demo.choreographed.post import Post, read_post
from sample_services.demo.processes import Process
from sample_services.demo.stage import free_addresses, program
from sample_services.inventory.ledger import BOOKKEEPING as INVENTORY
from sample_services.orders.ledger import BOOKKEEPING as ORDERS
from sample_services.payments.ledger import BOOKKEEPING as PAYMENTS
from sample_services.shipping.ledger import BOOKKEEPING as SHIPPING
from sample_services.turnstile import Turnstile

BOOKKEEPINGS: Final[Sequence[Bookkeeping]] = (ORDERS, INVENTORY, PAYMENTS, SHIPPING)
"""The services, in the order in which an order comes to them."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything a scene can use or break."""

    folder: Path
    """Where stores and logs are."""
    bus: DemoBus
    """What carries the events."""
    door: str
    """Where orders are placed."""
    services: dict[str, Process]
    """The services, by name."""
    onlooker: Process
    """A coordinator that drives nothing, and reads what is on the bus. Not started with the others."""
    onlooker_address: str
    """Where it listens."""
    turnstile: Turnstile
    """Stops payments halfway through a charge or a refund."""

    def ledger(self, name: str) -> Path:
        """The file in which a service keeps its ledger, its fence, its inbox and its outbox."""
        return self.folder / f"{name}.db"

    def books(self) -> list[Book]:
        """Reads what every service has written down."""
        return [bookkeeping.read(self.ledger(bookkeeping.service)) for bookkeeping in BOOKKEEPINGS]

    def posts(self) -> list[Post]:
        """Reads what every service has in its outbox and its inbox."""
        return [read_post(name, self.ledger(name)) for name in self.services]


@asynccontextmanager
async def opened_stage(folder: Path, bus: str) -> AsyncIterator[Stage]:
    """Starts bus and services with their files in a folder, and ends them all, whatever happens.

    Args:
        folder: an empty one.
        bus: "sqlite" or "nats".

    Raises:
        ProcessError: one of them did not start.
    """
    stage = _build(folder, bus)
    try:
        await stage.bus.start()
        async with TaskGroup() as group:
            for process in stage.services.values():
                group.create_task(process.start())
        yield stage
    finally:
        async with TaskGroup() as group:
            for process in (*stage.services.values(), stage.onlooker):
                group.create_task(process.stop())
        await stage.bus.stop()


def _build(folder: Path, bus: str) -> Stage:
    door, onlooker, address = free_addresses(3)
    turnstile = folder / "turnstile"
    turnstile.mkdir()
    carrier = bus_called(bus, folder, address)
    options = {"orders": ["--listen", door], "payments": ["--turnstile", str(turnstile)]}
    services = {}
    for name in (bookkeeping.service for bookkeeping in BOOKKEEPINGS):
        command = [sys.executable, "-m", f"sample_services.{name}", "--bus", carrier.url]
        command += ["--store", f"sqlite:///{folder / name}.db", *options.get(name, [])]
        services[name] = program(folder, name, command)
    return Stage(
        folder=folder,
        bus=carrier,
        door=door,
        services=services,
        onlooker=program(folder, "amends", _onlooker_command(folder, onlooker, carrier.url)),
        onlooker_address=onlooker,
        turnstile=Turnstile(turnstile),
    )


def _onlooker_command(folder: Path, address: str, bus: str) -> list[str]:
    command = [sys.executable, "-m", "amends_coordinator.cli", "serve", "--listen", address]
    return [*command, "--metrics", "off", "--store", f"sqlite:///{folder / 'coordinator.db'}", "--bus", bus]
