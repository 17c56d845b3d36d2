"""The command as a process: its speed, its exit status, its silence about itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from amends.errors import StartError
from amends_coordinator.settings import Settings
from amends_coordinator.store.interface import StoreRefusedError
from tests.cli.cli_fakes import FakeCoordinator, Run, event, saga

COMMAND = (sys.executable, "-m", "amends_coordinator.cli")


def amends(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
    )


def test_help_imports_nothing_slow() -> None:
    """What makes a command slow to start is loaded by the commands that need it."""
    slow = "('grpc', 'rich', 'asyncio')"
    told = f"import sys, amends_coordinator.cli; print([m for m in {slow} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True, timeout=30)
    assert ran.stdout == "[]\n"


def test_errors_are_one_line_without_a_traceback() -> None:
    """On stderr, with nothing on stdout."""
    ran = amends("get", "s-1", "--target", "127.0.0.1:1")
    assert (ran.returncode, ran.stdout) == (6, "")
    assert len(ran.stderr.splitlines()) == 1


def test_debug_shows_the_traceback() -> None:
    """Where the option stands does not matter."""
    for arguments in (("--debug", "get", "s-1"), ("get", "s-1", "--debug")):
        assert "Traceback" in amends(*arguments, AMENDS_TARGET="127.0.0.1:1").stderr


def test_wrong_usage_is_one_line_and_status_2() -> None:
    """It says which help to read."""
    ran = amends("get")
    assert (ran.returncode, ran.stderr) == (2, "amends: Missing argument 'ID'. (see amends get --help)\n")


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    """`amends ... | head` gives no message about a pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(
            [*COMMAND, "--help"], check=False, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30
        )
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_ctrl_c_ends_a_watch_quietly(target: str, coordinator: FakeCoordinator) -> None:
    """Status 130, as shells have it, and no traceback."""
    coordinator.events, coordinator.sagas["s-1"] = [event(1, saga_started={})], saga("RUNNING")
    coordinator.stays_open = True
    watching = subprocess.Popen(
        [*COMMAND, "watch", "s-1", "--target", target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with watching:
        assert watching.stdout is not None
        assert "saga started" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.communicate(timeout=30) == ("", "\n")  # a new line after the terminal's ^C
    assert watching.returncode == 130


def test_a_bad_setting_stops_serve_with_status_2(tmp_path: Path) -> None:
    """One line that names file and line."""
    path = tmp_path / "amends.toml"
    path.write_text("lisen = 1\n")
    ran = amends("serve", "--config", str(path))
    assert ran.returncode == 2
    assert ran.stderr == f"amends: {path}, line 1: unknown key 'lisen'; did you mean 'listen'?\n"


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A daemon that keeps its settings and raises what it is told to."""
    told: list[Any] = []

    async def serve(settings: Settings) -> None:
        error = told.pop() if told else None
        told.append(settings)
        if error is not None:
            raise error

    module = ModuleType("amends_coordinator.daemon")
    module.serve = serve  # type: ignore[attr-defined] # a module of the test's own
    monkeypatch.setitem(sys.modules, "amends_coordinator.daemon", module)
    return told


def test_serve_hands_the_settings_to_the_daemon(command: Run, daemon: list[Any]) -> None:
    """From flags and environment."""
    result = command("serve", "--participant", "a=a:1", "--metrics", "off", env={"AMENDS_LISTEN": "h:1"})
    assert result.exit_code == 0
    assert (daemon[0].listen, daemon[0].metrics, daemon[0].participants[0].name) == ("h:1", None, "a")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StartError("port 1 is in use"), "amends: port 1 is in use\n"),
        (StoreRefusedError("amends.db is corrupt"), "amends: amends.db is corrupt\n"),
        (OSError(98, "Address already in use"), "amends: cannot serve: Address already in use\n"),
        (KeyError("x"), "amends: unexpected KeyError: 'x' (--debug shows the traceback)\n"),
    ],
)
def test_a_daemon_that_cannot_run_is_one_line(
    command: Run, daemon: list[Any], error: Exception, said: str
) -> None:
    """Status 1, whatever it was."""
    daemon.append(error)
    result = command("serve")
    assert (result.exit_code, result.stderr) == (1, said)


def test_the_shared_options_after_the_command_win(command: Run, target: str) -> None:
    """The nearer one counts."""
    result = command("--target", "127.0.0.1:1", "get", "nobody", "--target", target)
    assert result.exit_code == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "nowhere"), "--target nowhere: must be HOST:PORT"),
        (("--cert", "c.pem"), "--cert and --key need --ca"),
        (("--ca", "/nowhere.pem"), "--ca /nowhere.pem: cannot be read"),
    ],
)
def test_a_bad_way_to_connect_is_wrong_usage(command: Run, options: tuple[str, ...], said: str) -> None:
    """The option is named."""
    result = command("get", "s-1", *options)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"amends: {said}")
