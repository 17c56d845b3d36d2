"""What docs/bindings.md shows, runs as printed, and answers as shown."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amends import Definition
from amends_coordinator.calls.reading import MAX_PAYLOAD
from amends_coordinator.core.limits import MAX_DESCRIPTORS, MAX_EXPRESSION, MAX_EXPRESSIONS, MAX_RULES
from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT
from tests.addresses import free_address

PAGE = (ROOT / "docs" / "bindings.md").read_text("utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


CARRIER, SERVE, *COMMANDS = (
    line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()
)


class Shell:
    """Runs the page's commands in a folder, at addresses of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.carrier = free_address()
        coordinator = free_address()
        self.env = {
            **os.environ, "AMENDS_TARGET": coordinator, "AMENDS_LISTEN": coordinator, "AMENDS_METRICS": "off",
            "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200",
        }  # fmt: skip

    def process(self, name: str, command: str) -> Process:
        """What runs while the other commands do."""
        words = command.replace("127.0.0.1:50071", self.carrier).split()
        log = self.folder / f"{name}.log"
        return Process(name, [str(BIN / words[0]), *words[1:]], log=log, cwd=self.folder, env=self.env)

    async def run(self, command: str) -> tuple[int | None, str]:
        """Runs a command; returns its exit status and what it said."""
        done = await asyncio.create_subprocess_shell(
            command, cwd=self.folder, env=self.env, stdout=PIPE, stderr=STDOUT
        )
        output, _ = await done.communicate()
        return done.returncode, output.decode()


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """The carrier and the coordinator of the page, in a folder with its definitions."""
    for block in blocks("yaml"):
        if named := re.match(r"name: (\w+)\n", block):
            (tmp_path / f"{named[1]}.yaml").write_text(block)
    (tmp_path / "sample_services").symlink_to(ROOT / "sample_services")
    shell = Shell(tmp_path)
    processes = [shell.process("carrier", CARRIER), shell.process("amends", SERVE)]
    try:
        for process in processes:
            await process.start()
        yield shell
    finally:
        for process in processes:
            await process.stop()


@pytest.mark.processes
async def test_its_commands_do_what_it_says(shell: Shell) -> None:
    """The first repair completes, the second is undone, and what the page shows of a mistake is said."""
    first, second, ledger, typed, compile_protos = COMMANDS
    ledger_shown, mistake = blocks("text")
    assert (await shell.run(first))[0] == 0
    status, output = await shell.run(second)
    assert (status, "no parcel goes to CH" in output) == (3, True), output
    status, output = await shell.run(ledger)
    assert (status, output) == (0, ledger_shown)
    status, output = await shell.run(typed)
    assert status == 0, output
    assert (await shell.run(compile_protos))[0] == 0
    repair = shell.folder / "repair.yaml"
    right = repair.read_text()
    repair.write_text(right.replace("weight_grams: int(input.grams)", "weight: int(input.grams)", 1))
    assert await shell.run(first) == (2, mistake)
    repair.write_text(right + blocks("yaml")[-1])
    assert (await shell.run(first))[0] == 0


def test_its_rules_are_rules(tmp_path: Path) -> None:
    """They fit into the definition that it shows."""
    repair, _, rules, _ = blocks("yaml")
    path = tmp_path / "repair.yaml"
    path.write_text(repair + rules)
    last = Definition.from_yaml(path).steps[-1]
    assert [rule.code.name for rule in last.try_outcomes] == ["RESOURCE_EXHAUSTED", "ABORTED", "OK", "OK"]
    assert [rule.outcome for rule in last.compensate_outcomes] == ["succeeded"]


def test_the_limits_it_tells_are_those_of_the_code() -> None:
    assert f"| an expression | {MAX_EXPRESSION >> 10} KiB |" in PAGE
    assert f"| expressions of a definition | {MAX_EXPRESSIONS:,} |" in PAGE
    assert f"| rules of a step | {MAX_RULES} in each direction |" in PAGE
    assert f"| descriptors that are kept | {MAX_DESCRIPTORS >> 10} KiB |" in PAGE
    assert f"| a response that becomes a result | {MAX_PAYLOAD >> 20} MiB |" in PAGE
