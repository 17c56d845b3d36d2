"""The demo and the playground, as real processes. Deselect with -m 'not processes'."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from amends import Client
from sample_services.demo import __main__ as demo
from sample_services.demo import scenes
from sample_services.demo.playground import commands
from sample_services.demo.scenes import Cast
from sample_services.demo.stage import ROOT, opened_stage
from sample_services.shop.orders import ORDER
from tests.samples.pids import is_running

pytestmark = pytest.mark.processes

DEMO = [sys.executable, "-m", "sample_services.demo"]


def told_pids(output: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"process (\d+)", output)]


def test_p2_p3_p4_every_order_of_the_demo_ends_and_the_ledgers_agree(tmp_path: Path) -> None:
    """Through three kills of the coordinator and one of payments, and no process or file is left."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    demo = subprocess.run(DEMO, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.splitlines()[-1] == "demo: 36 completed, 30 compensated, 0 lost"
    assert demo.stdout.count(">>> kill -9") == 4
    pids = told_pids(demo.stdout)
    assert len(pids) == 8
    assert not [pid for pid in pids if is_running(pid)]
    assert list(tmp_path.iterdir()) == []


async def test_the_demo_leaves_nothing_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    demo = await asyncio.create_subprocess_exec(*DEMO, cwd=ROOT, env=env, stdout=PIPE, stderr=STDOUT)
    assert demo.stdout is not None
    output = (await demo.stdout.readuntil(b"saga started")).decode()
    demo.send_signal(signal.SIGINT)
    await demo.communicate()
    assert demo.returncode == 130
    assert len(told_pids(output)) == 4
    assert not [pid for pid in told_pids(output) if is_running(pid)]
    assert os.listdir(tmp_path) == []


async def test_every_command_of_the_playground_does_what_it_says(tmp_path: Path) -> None:
    async with opened_stage(tmp_path) as stage, Client(stage.address) as client:
        await client.register(ORDER)
        for command, status in commands(stage):
            shell = await asyncio.create_subprocess_shell(command, cwd=ROOT, stdout=PIPE, stderr=STDOUT)
            output, _ = await shell.communicate()
            assert shell.returncode == status, f"{command}\n{output.decode()}"


async def test_the_demo_fails_and_names_what_differs_where_a_ledger_was_tampered_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tamper(cast: Cast) -> None:
        with closing(sqlite3.connect(cast.stage.ledger("payments"))) as db, db:
            db.execute("UPDATE entry SET cents = -1 WHERE saga = 'south-pole' AND cents < 0")

    monkeypatch.setattr(demo, "SCENES", (scenes.refused_by_shipping, scenes.completed, tamper))
    console = Console(file=io.StringIO(), width=200)
    assert await demo.run(console, tmp_path, staying=False) == 1
    output = console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO from above
    assert "differs: payments: south-pole: charge: -1 of ada is undone by +1950 of ada" in output
    assert output.splitlines()[-1] == "demo: 1 completed, 1 compensated, 1 lost"
