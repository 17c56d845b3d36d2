"""What the code runs on, replaced: clock, chance, the threads of SQLite, and the transport of gRPC.

These are the seams to other people's code, and nothing of Amends is touched.
"""

import asyncio
import contextvars
import gc
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any
from unittest import mock

import aiosqlite
import grpc

from amends import _wal
from amends._fence.sqlite import SqliteLedger
from amends_coordinator import daemon
from amends_coordinator.store import sqlite
from amends_coordinator.timers import Timers
from tests.runtime.virtual_time import VirtualLoop
from tests.simulation.disk import Connection, Lock
from tests.simulation.endpoints import Channel, Server
from tests.simulation.network import Network
from tests.simulation.process import Future, Process, Task

EPOCH = 1_700_000_000.0
"""When every simulation begins, in seconds since 1970."""

WAL_PAGES = 32
"""Pages of a write-ahead log: few, so that it is copied into its file now and then, as in a long life."""


TURN = 1e-6
"""Seconds that a turn of an event loop takes. Were it none, whoever looks again until time has passed would
look for ever."""


MAX_TURNS = 300_000
"""Turns of the event loop after which a world is given up: ten times as many as the liveliest take."""


class RestlessError(AssertionError):
    """Everybody is busy, and nothing comes of it."""


class Loop(VirtualLoop):
    """An event loop in virtual time that counts its turns, so that something can happen between any two."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self._numbers = count()  # of what is made, in order
        self._breaks: list[tuple[int, int, Callable[[], object]]] = []
        self.set_task_factory(_make_task)

    def after_turns(self, turns: int, callback: Callable[[], object]) -> None:
        """Calls back after so many turns: between two steps of whatever is under way by then."""
        heappush(self._breaks, (self.turns + turns, next(self._numbers), callback))

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc] # private, and the only place where all await
        self.turns += 1
        self._jumping.now += TURN
        if self.turns > MAX_TURNS:
            raise RestlessError(f"{MAX_TURNS} turns of the event loop, and no end")
        while self._breaks and self._breaks[0][0] <= self.turns:
            self.call_soon(heappop(self._breaks)[2], context=contextvars.Context())

    def create_future(self) -> "asyncio.Future[Any]":
        """Makes a future that is the same in every run."""
        return Future(self.next_number(), loop=self)

    def next_number(self) -> int:
        """Numbers what is made."""
        return next(self._numbers)

    def add_signal_handler(self, number: int, callback: Callable[..., object], *arguments: Any) -> None:
        """Notes what the process that is running does about a signal."""
        process = Process.current()
        assert process is not None, "only processes are sent signals"
        process.signals[number] = partial(callback, *arguments)

    def run_in_executor(self, _executor: Any, work: Callable[..., Any], *arguments: Any) -> Any:
        """Does at once what would have gone to a thread."""
        done = self.create_future()
        try:
            done.set_result(work(*arguments))
        except Exception as error:  # whoever waits for it raises it
            done.set_exception(error)
        return done


def _make_task(loop: Any, work: Coroutine[Any, Any, Any], **options: Any) -> "asyncio.Task[Any]":
    """Makes tasks that belong to the process they are started in; a task factory."""
    task = Task(loop.next_number(), work, loop=loop, **options)
    if task.process is not None:
        task.process.adopt(task)
    return task


@contextmanager
def simulated(loop: Loop, network: Network, seed: int) -> Iterator[None]:
    """Puts the simulated environment in the place of the real one."""

    def wall_clock() -> float:
        process = Process.current()
        return EPOCH + loop.time() + (process.skew if process else 0.0)

    with ExitStack() as stack:

        def replace(owner: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))

        replace(time, "time", wall_clock)
        replace(time, "monotonic", loop.time)
        # These took the clock as their default when they were defined.
        replace(Timers.__init__, "__defaults__", (wall_clock,))
        replace(SqliteLedger.__init__, "__defaults__", (wall_clock,))
        replace(aiosqlite, "Connection", Connection)
        replace(sqlite, "Ownership", Lock)
        replace(daemon, "configure_logs", lambda *_: None)
        replace(_wal, "PAGES_MAX", WAL_PAGES)
        replace(grpc.aio, "insecure_channel", lambda target, **_: Channel(network, target))
        replace(grpc.aio, "server", lambda **_: Server(network))
        # A collection may end generators, which takes turns of the loop, and comes when it likes.
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        chance = random.getstate()
        stack.callback(random.setstate, chance)
        random.seed(seed)
        yield
