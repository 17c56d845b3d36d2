"""What docs/stubs.md shows, runs as printed."""

import asyncio
import os
import re
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from protos.generate import ROOT
from sample_services.demo.processes import Process
from tests.addresses import free_address
from tests.stubs.compiling import PAYMENTS, SAMPLES, compiled
from tests.stubs.test_typing import Checker, mypy, pyright

PAGE = (ROOT / "docs" / "stubs.md").read_text("utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def program(name: str) -> str:
    """The program that the page introduces by this name."""
    found = re.search(rf"^`{re.escape(name)}`:\n\n```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's folder, as far as it has come before anything runs."""
    (tmp_path / "shop" / "v1").mkdir(parents=True)
    (tmp_path / PAYMENTS).write_text((SAMPLES / PAYMENTS).read_text())
    command, *printed = blocks("console")[0].splitlines()
    generate = command.removeprefix("$ ").split()
    done = subprocess.run(
        [BIN / generate[0], *generate[1:]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == printed
    (tmp_path / "payments.py").write_text(program("payments.py"))
    (tmp_path / "order.py").write_text(program("order.py"))
    return tmp_path


def test_the_proto_is_that_of_the_sample(tmp_path: Path) -> None:
    """But for its comments and what other languages need."""

    def bare(folder: Path, text: str) -> FileDescriptorProto:
        folder.mkdir()
        file = compiled(folder, {PAYMENTS: text}).proto_file[-1]
        file.ClearField("source_code_info")
        file.ClearField("options")
        return file

    (shown,) = blocks("proto")
    assert bare(tmp_path / "shown", shown) == bare(tmp_path / "sample", (SAMPLES / PAYMENTS).read_text())


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_its_programs_pass_strict_checks(checker: Checker, folder: Path) -> None:
    """That is what the page is about."""
    told, status = checker(folder)
    assert status == 0, told


def test_a_fault_is_told_as_it_says(tmp_path: Path) -> None:
    """With the line and the column that the sample really has."""
    path = tmp_path / PAYMENTS
    path.parent.mkdir(parents=True)
    path.write_text((SAMPLES / PAYMENTS).read_text().replace('"Refund"', '"Refnd"'))
    command = [BIN / "amends", "stubs", PAYMENTS, "--out", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[0] in PAGE


async def test_its_commands_run_a_saga(folder: Path) -> None:
    """A participant, a coordinator, and a saga that completes."""
    coordinator, participant = free_address(), free_address()
    for name in ("payments.py", "order.py"):
        text = (folder / name).read_text()
        text = text.replace("127.0.0.1:50052", participant).replace("127.0.0.1:50051", coordinator)
        (folder / name).write_text(text)
    serve_participant, serve, order = (line[2:] for line in blocks("console")[1].splitlines())
    assert (serve_participant, order) == ("python payments.py", "python order.py")
    serving = serve.replace("127.0.0.1:50052", participant).split()
    serving = [str(BIN / "amends"), *serving[1:], "--listen", coordinator, "--metrics", "off"]
    env = dict(os.environ)
    programs = [
        Process("payments", [sys.executable, "payments.py"], log=folder / "p.log", cwd=folder, env=env),
        Process("amends", serving, log=folder / "a.log", cwd=folder, env=env),
    ]
    try:
        for started in programs:
            await started.start()
        done = await asyncio.create_subprocess_exec(
            sys.executable, "order.py", cwd=folder, stdout=PIPE, stderr=STDOUT
        )
        output, _ = await done.communicate()
        assert (done.returncode, output.partition(b":")[0]) == (0, b"charged"), output.decode()
    finally:
        for started in programs:
            await started.stop()
