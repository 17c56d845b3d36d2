"""The program in the README runs as printed; only its addresses are replaced."""

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from sample_services.demo.processes import Process
from tests.addresses import free_address

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")

pytestmark = pytest.mark.processes


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


async def test_the_first_transfer_is_rolled_back_and_the_second_completes(tmp_path: Path) -> None:
    """A deposit to nobody is rejected and Ada has her money back; one to Linus completes."""
    bank_address, listen = free_address(), free_address()
    program = block("python", "bank.serve").replace("127.0.0.1:50052", bank_address)
    (tmp_path / "bank.py").write_text(program)
    (tmp_path / "transfer.yaml").write_text(block("yaml", "name: transfer"))
    commands = [line.removeprefix("$ ") for line in block("console", "amends serve").splitlines()]
    assert commands[0] == "python bank.py"
    serve, start = (shlex.split(line.replace("127.0.0.1:50052", bank_address)) for line in commands[1:])

    def process(name: str, *command: str) -> Process:
        log = tmp_path / f"{name}-{len(list(tmp_path.glob('*.log')))}.log"
        return Process(name, command, log=log, cwd=tmp_path, env=dict(os.environ))

    amends = str(Path(sys.executable).with_name("amends"))
    bank = process("bank", sys.executable, "bank.py")
    daemon = process("amends", amends, *serve[1:], "--listen", listen, "--metrics", "off")
    try:
        await bank.start()
        await daemon.start()
        assert await ended(tmp_path, amends, *start[1:], "--target", listen) == 3  # compensated
        to_linus = [word.replace("nobody", "linus") for word in start[1:]]
        assert await ended(tmp_path, amends, *to_linus, "--target", listen) == 0
    finally:
        await daemon.stop()
        await bank.stop()


async def ended(folder: Path, *command: str) -> int:
    """Runs a command to its end and returns its exit status."""

    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.DEVNULL)
    return await process.wait()
