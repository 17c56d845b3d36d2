"""What docs/http.md shows, runs as printed, and answers as shown."""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
import urllib.parse
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT
from tests.addresses import free_address
from tests.http_api.asking import ask

PAGE = (ROOT / "docs" / "http.md").read_text("utf-8")
BIN = Path(sys.executable).parent

Run = Callable[[str], Awaitable[Any]]


def blocks(language: str, text: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


async def by_curl(command: str) -> Any:
    """Runs a command in a shell."""
    process = await asyncio.create_subprocess_shell(f"{command} --silent", stdout=PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0, command
    return json.loads(output)


async def by_urllib(command: str) -> Any:
    """Sends what curl would send, for machines that have none."""
    curl, option, body, url = shlex.split(command.replace("\\\n", ""))
    assert (curl, option) == ("curl", "--json")
    parts = urllib.parse.urlsplit(url)
    assert parts.path.startswith("/amends.v1.Coordinator/")
    return (await ask(parts.netloc, parts.path.rpartition("/")[2], body.encode())).content


def assert_shown(shown: Any, found: Any) -> None:
    """Everything that the page shows of an answer is in it."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            assert_shown(value, found[key])
    elif isinstance(shown, list):
        assert len(shown) == len(found)
        for pair in zip(shown, found, strict=True):
            assert_shown(*pair)
    else:
        assert shown == found


@pytest.fixture
async def addresses(tmp_path: Path) -> Any:
    """The daemon and the participant of the page, at other addresses, which replace the printed ones."""
    there = {"127.0.0.1:8080": free_address(), "127.0.0.1:50062": free_address()}
    serve = moved(next(line for line in blocks("")[0].splitlines() if line.startswith("amends serve")), there)
    (tmp_path / "payments.py").write_text(moved(blocks("python")[0], there))
    commands = {
        "payments": [sys.executable, "payments.py"],
        "amends": [str(BIN / "amends"), *serve.split()[1:], "--listen", free_address(), "--metrics", "off"],
    }
    processes = [
        Process(name, command, log=tmp_path / f"{name}.log", cwd=tmp_path, env=dict(os.environ))
        for name, command in commands.items()
    ]
    try:
        for process in processes:
            await process.start()
        yield there
    finally:
        for process in reversed(processes):
            await process.stop()


def moved(text: str, addresses: dict[str, str]) -> str:
    for printed, real in addresses.items():
        text = text.replace(printed, real)
    return text


@pytest.mark.parametrize("run", [by_curl, by_urllib])
async def test_its_commands_answer_as_shown(run: Run, addresses: dict[str, str]) -> None:
    """In order; of an answer that the page shows, each field."""
    if run is by_curl and shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    last: Any = None
    for language, block in re.findall(r"^```(console|json)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        if language == "json":
            assert_shown(json.loads(block), last)
            continue
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            last = await run(moved(command.strip(), addresses))


def test_the_limits_it_tells_are_those_of_the_code() -> None:
    from amends_coordinator.http_api.bodies import MAX_BODY
    from amends_coordinator.http_api.server import MAX_CONNECTIONS

    assert f"larger than {MAX_BODY >> 20} MiB" in PAGE
    assert f"{MAX_CONNECTIONS} connections are open" in PAGE
