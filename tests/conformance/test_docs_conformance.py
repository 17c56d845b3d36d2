"""What docs/conformance.md shows, runs as printed, and its tables have every row."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from amends_coordinator.conformance.coordinator import ROWS
from amends_coordinator.conformance.fence_rows import FENCE_ROWS
from amends_coordinator.conformance.restart_rows import RESTART_ROWS
from amends_coordinator.conformance.row import OPTIONS
from amends_coordinator.conformance.rule_rows import EXCHANGE_ROWS, RULE_ROWS
from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT
from tests.addresses import free_address

PAGE = (ROOT / "docs" / "conformance.md").read_text("utf-8")

BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


async def shell(command: str, folder: Path) -> tuple[int | None, str]:
    """Runs what is printed behind a prompt; returns its exit status and what it said."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = await asyncio.create_subprocess_shell(command, cwd=folder, env=env, stdout=PIPE, stderr=STDOUT)
    output, _ = await done.communicate()
    return done.returncode, output.decode()


async def test_its_participant_is_certified(tmp_path: Path) -> None:
    address = free_address()
    participant, effects = blocks("python")
    (tmp_path / "shelf.py").write_text(participant.replace("127.0.0.1:50062", address))
    (tmp_path / "effects.py").write_text(effects)
    (tmp_path / "forever.sh").write_text(blocks("sh")[0])
    brief, whole = (
        line[2:].replace("127.0.0.1:50062", address) for line in blocks("console")[0].splitlines()
    )
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    forever = await asyncio.create_subprocess_exec(
        "sh", "forever.sh", cwd=tmp_path, env=env, stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    try:
        assert forever.stdout is not None
        assert await forever.stdout.readline() == f"shelf: listening on {address}\n".encode()
        status, output = await shell(brief, tmp_path)
        assert (status, "0 failed" in output) == (0, True), output
        status, output = await shell(whole, tmp_path)
        both_ways, one_way = len((*FENCE_ROWS, *RULE_ROWS)), len((*EXCHANGE_ROWS, *RESTART_ROWS)) + 2
        passed = 2 * both_ways + one_way - 2  # no Try is pending here
        assert (status, f"{passed} passed, 0 failed, 2 skipped" in output) == (0, True), output
    finally:
        os.killpg(forever.pid, signal.SIGKILL)
        await forever.communicate()


async def test_our_coordinator_is_certified(tmp_path: Path) -> None:
    coordinator, participant = free_address(), free_address()
    serve, certify = (
        line[2:].replace("127.0.0.1:50051", coordinator).replace("127.0.0.1:50063", participant)
        for line in blocks("console")[1].splitlines()
    )
    command = [str(BIN / "amends"), *serve.split()[1:], "--metrics", "off"]
    process = Process("amends", command, log=tmp_path / "a.log", cwd=tmp_path, env=dict(os.environ))
    await process.start()
    try:
        status, output = await shell(certify, tmp_path)
        assert (status, f"{len(ROWS)} passed, 0 failed, 0 skipped" in output) == (0, True), output
    finally:
        await process.stop()


def tables() -> list[list[list[str]]]:
    """The cells of the tables about rows: of participants, then of coordinators."""
    found = []
    for section in (PAGE.partition("## The rows")[2], PAGE.partition("## A coordinator")[2]):
        lines = re.findall(r"^\| `.*\|$", section.partition("\n## ")[0], re.MULTILINE)
        found.append([[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines])
    return found


def test_its_tables_have_every_row() -> None:
    """In the order in which they are run, with the options they need."""
    participants, coordinators = tables()
    rows = {row.name: row for row in (*FENCE_ROWS, *RULE_ROWS, *EXCHANGE_ROWS, *RESTART_ROWS)}
    listed = [name for name, _, _ in participants if name not in ("describe", "exchange")]
    assert listed == list(rows)
    for name, what, needs in participants:
        if name in rows:
            assert what == rows[name].what
            assert all(OPTIONS[each].split()[0] in needs for each in rows[name].inputs), name
    assert coordinators == [[row.name, row.what] for row in ROWS]
