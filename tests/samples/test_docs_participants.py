"""What docs/participants.md shows, runs as printed."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT
from tests.addresses import free_address

PAGE = (ROOT / "docs" / "participants.md").read_text("utf-8")

AMENDS = str(Path(sys.executable).with_name("amends"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_its_programs_run_one_after_another(tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text("\n\n".join(blocks("python")).replace('payments.serve("127.0.0.1:50052")', "pass"))
    done = subprocess.run(
        [sys.executable, "-W", "error", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
async def test_its_commands_run_a_saga(tmp_path: Path) -> None:
    coordinator, participant = free_address(), free_address()
    (tmp_path / "payments.py").write_text(blocks("python")[0].replace("127.0.0.1:50052", participant))
    (tmp_path / "payment.yaml").write_text(blocks("yaml")[0])
    serve_participant, serve, start = (line[2:] for line in blocks("console")[0].splitlines())
    assert serve_participant == "python payments.py"
    address = ["--listen", coordinator, "--metrics", "off"]
    serving = serve.replace("amends", AMENDS, 1).replace("127.0.0.1:50052", participant).split() + address
    env = {**os.environ, "AMENDS_TARGET": coordinator}
    programs = [
        Process("payments", [sys.executable, "payments.py"], log=tmp_path / "p.log", cwd=tmp_path, env=env),
        Process("amends", serving, log=tmp_path / "a.log", cwd=tmp_path, env=env),
    ]
    try:
        for program in programs:
            await program.start()
        shell = start.replace("amends", AMENDS, 1)
        done = await asyncio.create_subprocess_shell(shell, cwd=tmp_path, env=env, stdout=PIPE, stderr=STDOUT)
        output, _ = await done.communicate()
        assert done.returncode == 0, output.decode()
        assert b"saga completed" in output
    finally:
        for program in programs:
            await program.stop()
