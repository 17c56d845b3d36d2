"""A process that is harmed on purpose, started again whenever it is gone, and judged by how it ends."""

import asyncio
import math
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from sample_services.demo.processes import Process, ProcessError

STOP_BOUND: Final = 15.0
"""Seconds in which a process must have ended when asked in peace: a daemon gives RPCs two and calls five."""

REFUSES_TO_START: Final = 1
"""The exit status of whoever cannot use its store."""

PAUSE: Final = 0.2
"""Seconds before a process that refused to start, its disk being full, is started again."""


class Ward:
    """Keeps a process running.

    Args:
        process: not started yet.
        last_full: tells the last moment at which the disk of its store was full, when it may refuse to start.
    """

    def __init__(self, process: Process, *, last_full: Callable[[], float] = lambda: -math.inf) -> None:
        self.process = process
        self.kills = 0
        self.freezes = 0
        self.faults: list[str] = []  # how it ended where nobody had ended it
        self.up = asyncio.Event()  # set while it listens
        self._last_full = last_full
        self._sent: set[signal.Signals] = set()  # to the process that runs now
        self._retired = False
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Ward of {self.process.name}>"

    def begin(self) -> None:
        """Starts the process, and from then on again and again."""
        self._task = asyncio.create_task(self._keep_running(), name=f"ward of {self.process.name}")

    def send(self, number: signal.Signals) -> bool:
        """Sends a signal, if there is a process to send it to."""
        if not self._is_there():
            return False
        if number is signal.SIGTERM and (not self.up.is_set() or signal.SIGTERM in self._sent):
            return False  # who has just begun does not know yet what to do about it, who is ending no longer
        self._sent.add(number)
        self.process.send(number)
        self.kills += number is signal.SIGKILL
        self.freezes += number is signal.SIGSTOP
        return True

    async def freeze(self, seconds: float) -> None:
        """Stops it for a while."""
        if self.send(signal.SIGSTOP):
            await asyncio.sleep(seconds)
            self.send(signal.SIGCONT)  # if it was killed meanwhile, its successor takes no notice

    async def retire(self) -> None:
        """Ends the process in peace. It must do so in time and with status 0."""
        assert self._task is not None, "a ward is retired after it began"
        self._retired = True
        try:
            async with asyncio.timeout(STOP_BOUND):
                await self._end()
        except TimeoutError:
            self.faults.append(f"{self.process.name} does not end within {STOP_BOUND:g} s of SIGTERM")
            await self.abandon()

    async def abandon(self) -> None:
        """Ends the process at once, in whatever state it is."""
        self._retired = True
        while self._task is not None and not self._task.done():
            self.send(signal.SIGKILL)  # again, if it is just being started
            await asyncio.wait([self._task], timeout=PAUSE)

    async def _end(self) -> None:
        assert self._task is not None
        ended = asyncio.create_task(asyncio.wait([self._task]))
        up = asyncio.create_task(self.up.wait())
        try:
            await asyncio.wait([ended, up], return_when=asyncio.FIRST_COMPLETED)
            self.send(signal.SIGTERM)
            await ended
        finally:
            up.cancel()
            ended.cancel()

    def _is_there(self) -> bool:
        try:
            return self.process.pid > 0
        except ProcessError:
            return False

    async def _keep_running(self) -> None:
        while not self._retired:
            self._sent.clear()
            began = time.monotonic()
            with suppress(ProcessError):  # its status tells the same
                await self.process.start()
                self.up.set()
            status = await self.process.until_gone()
            refused = status == REFUSES_TO_START and not self.up.is_set() and self._last_full() >= began
            self.up.clear()
            if refused:
                await asyncio.sleep(PAUSE)
            elif not self._is_expected(status):
                self.faults.append(f"{self.process.name} ended by itself, with status {status}")

    def _is_expected(self, status: int) -> bool:
        if status == -signal.SIGKILL:
            return signal.SIGKILL in self._sent
        return status == 0 and signal.SIGTERM in self._sent
