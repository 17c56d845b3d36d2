"""The demo without a coordinator, as real processes on both buses. Deselect with -m 'not processes'."""

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

from sample_services.demo.broker import nats_server
from sample_services.demo.choreographed import __main__ as demo
from sample_services.demo.choreographed import scenes
from sample_services.demo.choreographed.scenes import Cast
from sample_services.demo.processes import ProcessError
from sample_services.demo.stage import ROOT
from tests.samples.pids import is_running

pytestmark = pytest.mark.processes

DEMO = [sys.executable, "-m", "sample_services.demo.choreographed"]


def told_pids(output: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"process (\d+)", output)]


@pytest.fixture(params=["sqlite", "nats"])
def bus(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "nats":
        try:
            nats_server()
        except ProcessError as error:
            pytest.skip(str(error))
    return name


def test_p2_p3_p4_every_order_ends_and_the_ledgers_agree(bus: str, tmp_path: Path) -> None:
    """Through kills before a publish, before an acknowledgement and in a crowd; and nothing is left."""
    env = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    command = [*DEMO, "--bus", bus]
    demo = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.splitlines()[-1] == "demo: 36 completed, 29 compensated, 0 lost"
    assert "orders.place   COMPLETED" in demo.stdout, "what `amends list` shows"
    for name, count in {"orders": 2, "payments": 2, "inventory": 1}.items():
        assert len(re.findall(rf">>> kill -9 \d+ \({name}\)", demo.stdout)) == count
    assert "shop.v1.OrderPlaced waits in the outbox" in demo.stdout
    assert "the bus still waits for payments to acknowledge" in demo.stdout
    pids = told_pids(demo.stdout)
    assert len(pids) == (10 if bus == "sqlite" else 13)
    assert not [pid for pid in pids if is_running(pid)]
    assert list(tmp_path.iterdir()) == []


async def test_it_leaves_nothing_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    demo = await asyncio.create_subprocess_exec(*DEMO, cwd=ROOT, env=env, stdout=PIPE, stderr=STDOUT)
    assert demo.stdout is not None
    output = (await demo.stdout.readuntil(b"OrderPlaced")).decode()
    demo.send_signal(signal.SIGINT)
    await demo.communicate()
    assert demo.returncode == 130
    assert len(told_pids(output)) == 4
    assert not [pid for pid in told_pids(output) if is_running(pid)]
    assert os.listdir(tmp_path) == []


async def test_it_fails_and_names_what_differs_where_a_ledger_was_tampered_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tamper(cast: Cast) -> None:
        with closing(sqlite3.connect(cast.stage.ledger("payments"))) as db, db:
            db.execute("UPDATE entry SET cents = -1 WHERE saga = 'south-pole' AND cents < 0")

    monkeypatch.setattr(
        demo, "SCENES", (scenes.refused_by_shipping, scenes.completed, scenes.silence, tamper)
    )
    console = Console(file=io.StringIO(), width=200)
    assert await demo.run(console, tmp_path, bus="sqlite") == 1
    output = console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO from above
    assert "differs: payments: south-pole: charge: -1 of ada is undone by +1950 of ada" in output
    assert output.splitlines()[-1] == "demo: 1 completed, 1 compensated, 1 lost"


async def test_it_fails_where_an_accepted_order_was_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By everybody, so that no two ledgers differ."""

    async def forget(cast: Cast) -> None:
        for name, table in {"orders": "order_movement", "inventory": "stock_movement"}.items():
            with closing(sqlite3.connect(cast.stage.ledger(name))) as db, db:
                db.execute(f"DELETE FROM {table} WHERE saga = 'short-account'")
                db.execute("DELETE FROM amends_fence WHERE saga_id = 'short-account'")
        with closing(sqlite3.connect(cast.stage.ledger("payments"))) as db, db:
            db.execute("DELETE FROM amends_fence WHERE saga_id = 'short-account'")

    monkeypatch.setattr(demo, "SCENES", (scenes.refused_by_payments, scenes.silence, forget))
    console = Console(file=io.StringIO(), width=200)
    assert await demo.run(console, tmp_path, bus="sqlite") == 1
    output = console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO from above
    assert "differs: fences: short-account: was accepted, and has come to no end" in output
    assert output.splitlines()[-1] == "demo: 0 completed, 0 compensated, 1 lost"
