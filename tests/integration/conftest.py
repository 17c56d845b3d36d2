"""Real processes for the tests: a ledger participant, and daemons that live and die."""

import asyncio
import os
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from amends import Client, Definition, Retry, Step
from sample_services.demo.processes import Process
from tests.addresses import free_address

ROOT = Path(__file__).resolve().parents[2]
QUICK = Retry(initial_backoff=0.02, max_backoff=0.2, max_attempts=1_000)
"""Soon again, for as long as a participant takes to start on a machine that has much else to do."""


@dataclass
class Stage:
    """A folder with a store, a ledger, and the processes around them."""

    folder: Path
    listen: str = field(default_factory=free_address)
    ledger_address: str = field(default_factory=free_address)
    late_address: str = field(default_factory=free_address)  # of another ledger
    processes: list[Process] = field(default_factory=list)

    @property
    def switches(self) -> Path:
        """The folder of the steps that have to wait."""
        return self.folder / "switches"

    async def start_ledger(self) -> Process:
        self.switches.mkdir(exist_ok=True)
        return await self._start(
            "ledger",
            "-m",
            "tests.integration.ledger",
            self.ledger_address,
            f"sqlite:///{self.folder}/ledger.db",
            str(self.switches),
        )

    async def start_late_ledger(self) -> Process:
        """Starts another ledger, with a store of its own, at the late address."""
        return await self._start(
            "late", "-m", "tests.integration.ledger", self.late_address,
            f"sqlite:///{self.folder}/late.db", str(self.switches), "late",
        )  # fmt: skip

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Runs a command of `amends`; returns its exit status and everything it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "amends_coordinator.cli", *arguments,
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, cwd=ROOT,
            env={**os.environ, "AMENDS_TARGET": self.listen},
        )  # fmt: skip
        async with asyncio.timeout(30.0):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def start_daemon(self, *options: str) -> Process:
        return await self._start(
            "amends", "-m", "amends_coordinator.cli", "serve", "--listen", self.listen, "--metrics", "off",
            "--store", f"sqlite:///{self.folder}/amends.db", "--participant", f"ledger={self.ledger_address}",
            *options,
        )  # fmt: skip

    async def start_failing_daemon(self, when: str, fact: str, number: int) -> Process:
        return await self._start(
            "amends", "-m", "tests.integration.failing_daemon", when, fact, str(number),
            self.listen, f"sqlite:///{self.folder}/amends.db", f"ledger={self.ledger_address}",
        )  # fmt: skip

    async def _start(self, name: str, *arguments: str) -> Process:
        process = Process(
            name,
            [sys.executable, *arguments],
            log=self.folder / f"{name}.log",
            cwd=ROOT,
            env=dict(os.environ),
        )
        self.processes.append(process)
        await process.start()
        return process

    def client(self) -> Client:
        return Client(self.listen)

    def effects(self, saga_id: str) -> dict[str, tuple[int, int]]:
        """For each step of a saga how often its effect was made, and how often undone."""
        with sqlite3.connect(self.folder / "ledger.db") as db:
            rows = db.execute("SELECT step, change FROM effects WHERE saga = ?", (saga_id,)).fetchall()
        db.close()
        done = Counter(step for step, change in rows if change > 0)
        undone = Counter(step for step, change in rows if change < 0)
        return {step: (done[step], undone[step]) for step in sorted(done | undone)}

    async def close(self) -> None:
        for process in reversed(self.processes):
            await process.stop()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose processes are gone when the test is over."""
    stage = Stage(tmp_path)
    try:
        yield stage
    finally:
        await stage.close()


def three_steps(last: str = "do") -> Definition:
    """Three steps in sequence; the last one may be one that is always rejected."""
    return Definition(
        f"three-{last}",
        [
            Step("first", "ledger", "do", retry=QUICK),
            Step("second", "ledger", "do", retry=QUICK),
            Step("third", "ledger", last, retry=QUICK),
        ],
    )
