"""Processes that can be killed and started again, and of which none is left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sample_services.demo import processes
from sample_services.demo.processes import Process, ProcessError, tail
from tests.samples.pids import is_running

LISTEN = "print('echo: listening on 127.0.0.1:1', flush=True); "
WAIT = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def program(folder: Path, code: str) -> Process:
    return Process(
        "echo", [sys.executable, "-c", code], log=folder / "echo.log", cwd=folder, env=dict(os.environ)
    )


async def test_it_runs_once_it_says_that_it_listens_and_is_gone_once_it_is_stopped(tmp_path: Path) -> None:
    process = program(tmp_path, LISTEN + WAIT)
    await process.start()
    pid = process.pid
    assert is_running(pid)
    await process.stop()
    assert not is_running(pid)


async def test_it_can_be_killed_and_started_again(tmp_path: Path) -> None:
    process = program(tmp_path, LISTEN + WAIT)
    await process.start()
    first = process.pid
    await process.kill()
    assert not is_running(first)
    await process.start()
    assert process.pid != first
    await process.stop()


async def test_it_says_when_a_program_ends_instead_of_listening(tmp_path: Path) -> None:
    process = program(tmp_path, "raise SystemExit('no such port')")
    with pytest.raises(ProcessError, match="echo ended with status 1"):
        await process.start()
    await process.stop()
    assert tail(tmp_path / "echo.log") == "echo | no such port\n"


async def test_it_says_when_a_program_does_not_listen_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "READY_TIMEOUT_S", 0.05)
    process = program(tmp_path, WAIT)
    with pytest.raises(ProcessError, match="echo does not listen"):
        await process.start()
    await process.stop()


async def test_it_kills_a_program_that_will_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_TIMEOUT_S", 0.05)
    process = program(tmp_path, DEAF + LISTEN + WAIT)
    await process.start()
    pid = process.pid
    await process.stop()
    assert not is_running(pid)


async def test_stopping_what_does_not_run_is_harmless(tmp_path: Path) -> None:
    await program(tmp_path, WAIT).stop()


async def test_stopping_what_ended_by_itself_is_harmless(tmp_path: Path) -> None:
    process = program(tmp_path, LISTEN)
    await process.start()
    await process.stop()
    with pytest.raises(ProcessError, match="is not running"):
        _ = process.pid
