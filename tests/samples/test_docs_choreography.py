"""What docs/choreography.md shows, runs as printed."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT

PAGE = (ROOT / "docs" / "choreography.md").read_text("utf-8")

pytestmark = pytest.mark.processes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the programs of the page, by the names that it gives them."""
    for name, program in re.findall(r"^`(\w+\.py)`.*?```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(program)
    return tmp_path


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}


async def place(folder: Path, *order: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "place.py", *order, cwd=folder, env=environment(), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def line(log: Path, wanted: str) -> None:
    """Waits for a line in a log, in which there is nothing to wait for but its growth."""
    async with asyncio.timeout(30):
        while not is_in(log, wanted):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def is_in(log: Path, wanted: str) -> bool:
    return wanted in log.read_text().splitlines()


async def test_one_order_is_paid_and_one_is_off_also_if_payments_were_dead(folder: Path) -> None:
    commands = re.search(r"```console\n(.*?)```", PAGE, re.DOTALL)
    assert commands is not None
    assert commands[1].splitlines() == [
        "$ python payments.py",
        "$ python orders.py",
        "$ python place.py o-1 ada 1200",
        "$ python place.py o-2 ada 999999",
    ]
    programs = [
        Process(
            name, [sys.executable, f"{name}.py"], log=folder / f"{name}.log", cwd=folder, env=environment()
        )
        for name in ("payments", "orders")
    ]
    try:
        for program in programs:
            await program.start()
        assert await place(folder, "o-1", "ada", "1200") == "order o-1 is placed\n"
        await line(folder / "orders.log", "order o-1 is paid")
        await programs[0].kill()
        await place(folder, "o-2", "ada", "999999")
        await place(folder, "o-1", "ada", "1200")
        await programs[0].start()
        await line(folder / "orders.log", "order o-2 is off: account ada is short")
    finally:
        for program in programs:
            await program.stop()
    assert (folder / "orders.log").read_text().count("o-1") == 1


def test_its_test_runs(folder: Path) -> None:
    test = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[-1]
    (folder / "test.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-W", "error", "test.py"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
