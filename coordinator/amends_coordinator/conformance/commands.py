"""Shell commands for what no call can tell or do: how many effects are in force, and a restart."""

import asyncio
import os
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Final

from amends_coordinator.conformance.subject import CommandFailedError

TIMEOUT: Final = 60.0
"""Seconds that a command may take: a service that is restarted by its supervisor takes its time."""

_WORDS_MAX: Final = 300
"""Characters of a command's output that are repeated where it failed."""


@dataclass(frozen=True)
class EffectsCommand:
    """Counts effects by a command that prints a number for the saga in AMENDS_SAGA_ID."""

    command: str

    async def __call__(self, saga_id: str) -> int:
        """Returns the number. Raises CommandFailedError."""
        output = await _run(self.command, AMENDS_SAGA_ID=saga_id)
        try:
            return int(output)
        except ValueError:
            shown = output.strip()[:_WORDS_MAX]
            raise CommandFailedError(f"the command printed {shown!r}, which is no whole number") from None


@dataclass(frozen=True)
class RestartCommand:
    """Restarts by a command that ends once the participant has been started."""

    command: str

    async def __call__(self) -> None:
        """Runs it. Raises CommandFailedError."""
        await _run(self.command)


async def _run(command: str, **environment: str) -> str:
    # In a thread, since the loop may be uvloop's, which forks, and gRPC does not take that well.
    return await asyncio.to_thread(_wait_for, command, {**os.environ, **environment})


def _wait_for(command: str, environment: dict[str, str]) -> str:
    # Into a file: what the command leaves running would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(  # noqa: S602 - the command is the user's own
                command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CommandFailedError(f"the command did not end within {TIMEOUT:g} s") from None
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    if done.returncode != 0:
        words = " ".join(said.split())[-_WORDS_MAX:]
        raise CommandFailedError(f"the command ended with status {done.returncode}: {words}".rstrip(": "))
    return said
