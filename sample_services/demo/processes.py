"""Runs programs as processes that can be killed, and leaves none of them behind.

A program says on its output when it is ready: `NAME: listening on HOST:PORT`, or in words of its own.
Everything it writes goes to a log file, to be shown if something goes wrong. Each program is in a session of
its own, so that a Ctrl-C in the terminal reaches only the demo, which then ends them in order.
"""

import asyncio
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

READY_TIMEOUT_S: Final = 20.0
"""How long a program may take to listen: a cold start on a busy machine takes three."""

STOP_TIMEOUT_S: Final = 10.0
"""How long a program may take to end when asked, before it is killed: the daemon gives its calls seven."""

_TAIL_LINES: Final = 15


class ProcessError(Exception):
    """A program did not do what it was started for; its log says why."""


class Process:
    """One program, which may be started again after it was killed.

    Args:
        name: what it calls itself on the line that says it is ready.
        command: its argument list; every start runs the same, so the address in it should be a fixed one.
        log: the file for its output; later starts append to it.
        cwd: the folder it runs in.
        env: its environment.
        sign: the line that says it is ready, as a regular expression, where it has words of its own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str],
        sign: str | None = None,
    ) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._cwd = cwd
        self._env = env
        self._sign = re.compile(sign or rf"{re.escape(name)}: listening on \S+\s*")
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = f"pid={self._process.pid}" if self._process else "not running"
        return f"<Process {self.name} {state}>"

    @property
    def pid(self) -> int:
        """The process id. Raises ProcessError if it is not running."""
        if self._process is None:
            raise ProcessError(f"{self.name} is not running")
        return self._process.pid

    async def start(self) -> None:
        """Starts it and waits until it listens.

        Raises:
            ProcessError: it ended instead, or took more than 20 s.
        """
        assert self._process is None, f"{self.name} is running already"
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            cwd=self._cwd,
            env=self._env,
            start_new_session=True,
        )
        self._output = asyncio.create_task(self._copy_output(self._process, ready))
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await ready
        except TimeoutError:
            message = f"{self.name} does not listen after {READY_TIMEOUT_S:g} s"
            raise ProcessError(message) from None

    async def kill(self) -> None:
        """Kills it with SIGKILL, as a power cut would, and waits until it is gone."""
        self.send(signal.SIGKILL)
        await self._wait_until_gone()

    async def until_gone(self) -> int:
        """Waits until it ends by itself; returns its exit status."""
        return await self._wait_until_gone()

    async def stop(self) -> int:
        """Asks it to end, kills it if it does not, and waits until it is gone.

        Harmless if it is not running. Returns its exit status, 0 if it was not running.
        """
        if self._process is None:
            return 0
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
        return await self._wait_until_gone()

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, and does not wait for what comes of it. Harmless if it has just ended."""
        assert self._process is not None, f"{self.name} is not running"
        # One that ended by itself is a zombie until it is waited for, so its id is not yet another's. asyncio
        # itself would wait for it here too, and take its status away from whoever waits for it properly.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _wait_until_gone(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        assert self._output is not None, "a process that runs has its output read"
        status = await self._process.wait()
        await self._output
        self._process = self._output = None
        return status

    async def _copy_output(self, process: asyncio.subprocess.Process, ready: asyncio.Future[None]) -> None:
        assert process.stdout is not None, "it was started with a pipe"
        with self._log.open("ab", buffering=0) as log:
            async for line in process.stdout:
                log.write(line)
                if not ready.done() and self._sign.fullmatch(line.decode("utf-8", "replace")):
                    ready.set_result(None)
        if not ready.done():
            status = await process.wait()
            ready.set_exception(ProcessError(f"{self.name} ended with status {status}"))


def tail(log: Path) -> str:
    """Returns the last lines of a log, for people."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return "".join(f"{log.stem} | {line}\n" for line in lines[-_TAIL_LINES:])
