"""A node: a disk, and a process that is started again whenever it has ended."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from amends.errors import AmendsError
from amends_coordinator.store.interface import StoreRefusedError
from tests.simulation.checker import Checker
from tests.simulation.disk import Disk
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.story import Story

STOP_SECONDS = 30.0
"""Seconds in which a process that is asked to end has ended: all that its parts may take, and more."""

TAKEOVER_PAUSE = 0.001
"""Seconds between a coordinator's lock being lost and its successor's start."""

Main = Callable[[Process], Coroutine[Any, Any, None]]


class Node:
    """Runs one process after the other."""

    def __init__(
        self,
        name: str,
        disk: Disk,
        main: Main,
        *,
        random: Random,
        network: Network,
        checker: Checker,
        story: Story,
        skew: float,
    ) -> None:
        """Makes a node; nothing runs yet.

        Args:
            name: what others find it by.
            disk: what it keeps.
            main: what its processes do.
            random: what decides how long it is away.
            network: what it is cut off from when it dies.
            checker: who is told of a process that ends by itself.
            story: who is told of starts and ends.
            skew: seconds by which the clock of a process may be wrong.
        """
        self.name = name
        self.disk = disk
        self.process: Process | None = None
        self.stale: list[Process] = []  # processes that another has taken over from
        self._main = main
        self._random = random
        self._network = network
        self._checker = checker
        self._story = story
        self._skew = skew
        self._lives = 0
        self._closing = False
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Lives, again and again, until it is closed."""
        while not self._closing:
            taken_over = await self._live()
            if self._closing:
                break
            await asyncio.sleep(TAKEOVER_PAUSE if taken_over else self._random.uniform(0.05, 2.0))

    async def _live(self) -> bool:
        """Lives once; tells whether it was taken over from, and goes on."""
        self._lives += 1
        self.disk.begin()
        skew = self._random.uniform(-self._skew, self._skew)
        process = self.process = Process(self.name, self._lives, self.disk, skew=skew)
        process.at_death.append(lambda: self._network.cut_off(process))
        self._story.tell(f"{process} starts")
        work = process.spawn(self._main(process))
        over = asyncio.ensure_future(process.over.wait())
        await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if process.lock_lost:
            return True
        if process.alive:
            self._judge(process, work)
        self._story.tell(f"{process} has ended")
        process.kill()
        await process.bury()
        self.disk.lose_what_is_not_synced()
        return False

    def _judge(self, process: Process, work: "asyncio.Task[None]") -> None:
        """A process that ended by itself was asked to, or could not open what its disk did not give."""
        error = work.exception()
        if error is None and process.stopping:
            return
        if isinstance(error, StoreRefusedError | AmendsError) and self.disk.ailing:
            self._story.tell(f"{process} gives up: {error}")
        else:
            self._checker.object(f"P2: {process} ended by itself: {error!r}")

    def take_over(self, seconds: float) -> None:
        """Has another process take over, while the one there is goes on for so long."""
        old = self.process
        if old is None or not old.alive or old.stopping:
            return
        self._story.injected(f"{old} goes on for {seconds:.1f} s although another one takes over")
        old.lock_lost = True
        self.stale.append(old)
        self._network.after(seconds, old.kill)
        old.over.set()

    def kill(self) -> None:
        """Kills the process that is running, if there is one."""
        if self.process is not None:
            self.process.kill()

    async def stop(self) -> None:
        """Asks the last process to end, and sees to it that it does."""
        self._closing = True
        process = self.process
        if process is None or not process.alive:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.over.wait(), STOP_SECONDS)
        except TimeoutError:
            self._checker.object(f"P2: {process} was asked to end, and did not within {STOP_SECONDS:g} s")

    async def bury(self) -> None:
        """Ends everything that is left."""
        for process in (self.process, *self.stale):
            if process is not None:
                process.kill()
                await process.bury()
