"""What a check of a language is, and what it comes to."""

import enum
import os
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass


class CheckFailedError(Exception):
    """Something is not as it should be; says what."""


class Verdict(enum.StrEnum):
    """How a check ended."""

    PASSED = "passed"
    """All is as it should be."""
    FAILED = "FAILED"
    """Something is not."""
    SKIPPED = "skipped"
    """Its toolchain is not on this machine."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one check of one language came to."""

    language: str
    """Names the language."""
    what: str
    """Says what was checked."""
    verdict: Verdict
    """How it ended."""
    why: str
    """What there is to say about that."""

    def __str__(self) -> str:
        """Says it in a line; of a failure, in as many as it takes."""
        return f"{self.language:<6}{self.verdict:<9}{self.what}: {self.why}"


def summary(outcomes: list[Outcome]) -> str:
    """Counts them, in the line that ends the output."""
    counts = {verdict: sum(each.verdict is verdict for each in outcomes) for verdict in Verdict}
    skipped = counts.pop(Verdict.SKIPPED)
    line = ", ".join(f"{count} {verdict.lower()}" for verdict, count in counts.items())
    return f"{line}, {skipped} skipped" if skipped else line


async def ended(process: Process) -> None:
    """Waits until a process is gone, which is killed if it has not ended by itself."""
    if process.returncode is None:
        # Not by asyncio's kill(), which might take the status away from whoever waits for it.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    await process.wait()
