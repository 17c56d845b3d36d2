"""The stage: a coordinator and three participants, each a process of its own, in one folder."""

import os
import random
import socket
import sys
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sample_services.book import Book, Bookkeeping
from sample_services.demo.processes import Process
from sample_services.inventory.ledger import BOOKKEEPING as INVENTORY
from sample_services.payments.ledger import BOOKKEEPING as PAYMENTS
from sample_services.shipping.ledger import BOOKKEEPING as SHIPPING
from sample_services.turnstile import Turnstile

BOOKKEEPINGS: Final[Sequence[Bookkeeping]] = (INVENTORY, PAYMENTS, SHIPPING)
"""The participants, in the order in which the order saga calls them."""

ROOT: Final = Path(__file__).resolve().parents[2]
"""The folder in which `python -m sample_services...` works."""

_PORTS: Final = range(20_000, 32_000)
"""Below those that systems hand out to outgoing connections: no such connection can take the port of a
participant while it is dead, and it can come back at the same address."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything a scene can use or break."""

    folder: Path
    """Where stores and logs are."""
    address: str
    """Where the coordinator listens."""
    metrics: str
    """Where it shows its metrics."""
    coordinator: Process
    """The daemon."""
    participants: dict[str, Process]
    """The participants, by name."""
    turnstile: Turnstile
    """Stops payments halfway through a charge or a refund."""

    @property
    def processes(self) -> list[Process]:
        """All of them, the coordinator first."""
        return [self.coordinator, *self.participants.values()]

    def ledger(self, name: str) -> Path:
        """The file in which a participant keeps its ledger and its fence."""
        return self.folder / f"{name}.db"

    def books(self) -> list[Book]:
        """Reads what every participant has written down."""
        return [
            bookkeeping.read(self.ledger(bookkeeping.service))
            for bookkeeping in BOOKKEEPINGS
            if bookkeeping.service in self.participants
        ]


@asynccontextmanager
async def opened_stage(
    folder: Path,
    *,
    standing_in: Mapping[str, Sequence[str]] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """Starts all processes with their files in a folder, and ends them all, whatever happens.

    Args:
        folder: for stores and logs; empty.
        standing_in: by participant, the command of a program to run instead of the one in Python. It takes
            --listen HOST:PORT and --store FILE, and knows no turnstile.
        elsewhere: by participant, the address of a service to call instead, which somebody else runs.

    Raises:
        ProcessError: one of them did not start.
    """
    stage = _build(folder, standing_in or {}, elsewhere or {})
    try:
        async with TaskGroup() as group:
            for process in stage.processes:
                group.create_task(process.start())
        yield stage
    finally:
        async with TaskGroup() as group:
            for process in stage.processes:
                group.create_task(process.stop())


def _build(folder: Path, standing_in: Mapping[str, Sequence[str]], elsewhere: Mapping[str, str]) -> Stage:
    names = [bookkeeping.service for bookkeeping in BOOKKEEPINGS if bookkeeping.service not in elsewhere]
    coordinator, metrics, *others = free_addresses(2 + len(names))
    addresses = dict(zip(names, others, strict=True))
    turnstile = folder / "turnstile"
    turnstile.mkdir()
    commands = {
        name: _participant_command(folder, name, address, turnstile) for name, address in addresses.items()
    }
    for name, command in standing_in.items():
        commands[name] = [*command, "--listen", addresses[name], "--store", str(folder / f"{name}.db")]
    return Stage(
        folder=folder,
        address=coordinator,
        metrics=metrics,
        coordinator=program(
            folder, "amends", _coordinator_command(folder, coordinator, metrics, {**addresses, **elsewhere})
        ),
        participants={name: program(folder, name, command) for name, command in commands.items()},
        turnstile=Turnstile(turnstile),
    )


def _coordinator_command(folder: Path, address: str, metrics: str, participants: dict[str, str]) -> list[str]:
    command = [sys.executable, "-m", "amends_coordinator.cli", "serve", "--listen", address]
    command += ["--metrics", metrics, "--store", f"sqlite:///{folder / 'coordinator.db'}"]
    for name, participant in participants.items():
        command += ["--participant", f"{name}={participant}"]
    return command


def _participant_command(folder: Path, name: str, address: str, turnstile: Path) -> list[str]:
    command = [sys.executable, "-m", f"sample_services.{name}", "--listen", address]
    command += ["--store", f"sqlite:///{folder / name}.db"]
    # The one whose handlers know a turnstile; the others answer too quickly to be caught halfway.
    return [*command, "--turnstile", str(turnstile)] if name == "payments" else command


def program(folder: Path, name: str, command: Sequence[str]) -> Process:
    """Makes a process, to be started, whose log is in the folder."""
    return Process(name, command, log=folder / f"{name}.log", cwd=ROOT, env=environment())


def environment() -> dict[str, str]:
    """Returns our own environment, less the settings of Amends: those are of another coordinator."""
    return {key: value for key, value in os.environ.items() if not key.startswith("AMENDS_")}


def free_addresses(count: int) -> list[str]:
    """Finds addresses of this machine at which nobody listens. Raises OSError if there are too few."""
    found: list[str] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(f"127.0.0.1:{port}")
        if len(found) == count:
            return found
    raise OSError(f"fewer than {count} ports from {_PORTS.start} to {_PORTS.stop - 1} are free on 127.0.0.1")
