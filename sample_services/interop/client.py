"""A client in another language, as a program that is run once for each thing it does."""

import asyncio
import shlex
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from sample_services.demo.stage import ROOT, environment
from sample_services.interop.checking import CheckFailedError, ended

TIMEOUT_S: Final = 60.0
"""How long one run may take: a saga, and the cold start of a machine that runs programs."""


class ForeignClient:
    """Runs a client against one coordinator.

    Args:
        command: runs it, given --target.
        target: the coordinator.
    """

    def __init__(self, command: Sequence[str], target: str) -> None:
        self._command = [*command, "--target", target]

    async def start(self, saga_id: str, **options: str) -> None:
        """Starts a saga, with options of the client. Raises CheckFailedError."""
        given = [word for name, value in options.items() for word in (f"--{name}", value)]
        await self._run(*given, "start", saga_id)

    async def cancel(self, saga_id: str) -> None:
        """Cancels a saga. Raises CheckFailedError."""
        await self._run("cancel", saga_id)

    async def watch(self, saga_id: str) -> list[str]:
        """Watches a saga to its end, and returns its facts. Raises CheckFailedError."""
        return _facts(await self._run("watch", saga_id))

    @asynccontextmanager
    async def watching(self, saga_id: str) -> AsyncIterator["Watch"]:
        """Watches a saga while something is done to it."""
        process = await self._begin("watch", saga_id)
        try:
            yield Watch(process)
        finally:
            await ended(process)

    async def _run(self, *words: str) -> str:
        process = await self._begin(*words)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                output, _ = await process.communicate()
        except TimeoutError:
            raise CheckFailedError(f"{shlex.join(words)} took more than {TIMEOUT_S:g} s") from None
        finally:
            await ended(process)
        said = output.decode("utf-8", "replace")
        if process.returncode != 0:
            what = f"{shlex.join(words)} ended with status {process.returncode}"
            raise CheckFailedError(f"{what}: {said.strip()}")
        return said

    async def _begin(self, *words: str) -> Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            *words,
            cwd=ROOT,
            env=environment(),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
        )


class Watch:
    """A watch under way."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._said = ""

    async def until(self, fact: str) -> None:
        """Waits until a fact is told. Raises CheckFailedError if it never is."""
        while fact not in _facts(self._said):
            if not await self._hear():
                raise CheckFailedError(f"watch ended, and never told {fact!r}: {self._said.strip()}")

    async def facts(self) -> list[str]:
        """Waits until the watch ends, and returns all it told. Raises CheckFailedError."""
        while await self._hear():
            pass
        return _facts(self._said)

    async def _hear(self) -> bool:
        assert self._process.stdout is not None, "it was started with a pipe"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise CheckFailedError(f"watch told nothing for {TIMEOUT_S:g} s: {self._said.strip()}") from None
        self._said += line.decode("utf-8", "replace")
        return bool(line)


def _facts(said: str) -> list[str]:
    """The facts that a watch told, without their numbers, of which it may leave none out."""
    facts = []
    for number, line in enumerate(said.splitlines(), start=1):
        counted, _, fact = line.partition(" ")
        if counted != str(number):
            raise CheckFailedError(f"watch should have told fact {number}; it told {line!r}")
        facts.append(fact)
    return facts
