"""A ward starts its process again and again, and tells whether it ended by itself."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from sample_services.demo.processes import Process
from tests.chaos.output import tracebacks
from tests.chaos.ward import Ward

LISTEN = "print('echo: listening on 127.0.0.1:1', flush=True); "
POLITE = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); "
WAIT = "signal.pause()"


def ward(folder: Path, code: str) -> Ward:
    command = [sys.executable, "-c", code]
    return Ward(Process("echo", command, log=folder / "echo.log", cwd=folder, env=dict(os.environ)))


async def test_a_process_that_is_killed_is_started_again_and_no_fault(tmp_path: Path) -> None:
    """It is counted, and its successor ends in peace."""
    kept = ward(tmp_path, POLITE + LISTEN + WAIT)
    kept.begin()
    await kept.up.wait()
    first = kept.process.pid
    assert kept.send(signal.SIGKILL)
    while kept.up.is_set():  # noqa: ASYNC110 - until its end has been noticed, which sets no event
        await asyncio.sleep(0)
    await kept.up.wait()
    assert kept.process.pid != first
    await kept.retire()
    assert (kept.kills, kept.faults) == (1, [])


async def test_a_process_that_ends_by_itself_is_a_fault(tmp_path: Path) -> None:
    """Its status is told."""
    kept = ward(tmp_path, LISTEN + "exit(3)")
    kept.begin()
    while not kept.faults:  # noqa: ASYNC110 - until its end has been noticed, which sets no event
        await asyncio.sleep(0)
    await kept.abandon()
    assert kept.faults[0] == "echo ended by itself, with status 3"


async def test_a_process_that_does_not_end_in_order_is_a_fault(tmp_path: Path) -> None:
    """It dies of SIGTERM instead of ending with status 0."""
    kept = ward(tmp_path, "import signal; " + LISTEN + WAIT)
    kept.begin()
    await kept.up.wait()
    await kept.retire()
    assert kept.faults == ["echo ended by itself, with status -15"]


def test_a_traceback_is_found_unless_it_was_brought_about() -> None:
    """What handlers raise on purpose and full disks are left out; anything else is shown whole."""
    harmless = "Traceback (most recent call last):\n  File ...\nMisfortuneError\n"
    bad = "Traceback (most recent call last):\n  File ...\n    line\nKeyError: 'x'\n"
    assert tracebacks(f"hello\n{harmless}more\n{bad}{harmless}") == [bad.rstrip()]
