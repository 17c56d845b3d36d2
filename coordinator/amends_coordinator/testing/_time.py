"""Time without the waiting.

The coordinator's clock follows the real one, except that it jumps: whenever somebody waits for the
coordinator and nothing can happen before a timer is due, the clock is put forward to that timer. A retry in
ten seconds, a deadline in a week and a delayed message are then as quick as their computation.

Ground rules
------------
- The clock jumps only while a call to the coordinator is awaited, or in ``advance``. Between two calls a test
  may look around, and no timer fires but those that are due in real time.
- It never jumps while a participant is at work: what takes real time is given it.
- All timers jump together, so that what is due first happens first.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop
from typing import Final

from amends_coordinator.timers import Timer, Timers

QUIET_TURNS: Final = 20
"""Turns of the event loop without news after which nothing more is expected to happen by itself. The longest
chain of callbacks, from a timer through the journal to a call, takes five; the rest is for the test's own."""

JUMPS_MAX: Final = 1_000
"""Jumps without any saga being started or ended after which there is no end in sight: a step has 20 attempts
by default, so not even the retries of many sagas at once come near."""

_OVERSHOOT: Final = 1e-6
"""Seconds to jump beyond a timer, so that rounding cannot leave the clock right before it."""


class JumpingTimers(Timers):
    """Timers whose clock can be put forward."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, now: Callable[[], float], news: Callable[[], None]
    ) -> None:
        """Makes timers; ``news`` is called whenever one is set."""
        super().__init__(loop, now)
        self._news = news

    def at(self, when: float, callback: Callable[[], object]) -> Timer:
        """See Timers.at."""
        self._news()
        return super().at(when, callback)

    def next_time(self) -> float | None:
        """Tells when the first timer is due; None if there is none."""
        while self._heap and self._heap[0][2].callback is None:
            heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def jump(self, seconds: float) -> None:
        """Puts the clock forward; what is due then fires in the next turn of the event loop."""
        self._offset += seconds
        if self._heap:
            self._arm(self._heap[0][0])


class JumpingTime:
    """One clock for everything in a test, and the knowledge of when it may jump."""

    def __init__(self, progress: Callable[[], object], no_end_in_sight: Callable[[], None]) -> None:
        """Begins with the real time; must be made in a running event loop.

        Args:
            progress: returns something that changes whenever a saga is started or ends.
            no_end_in_sight: called after very many jumps without progress; has to end the waiting.
        """
        self._loop = asyncio.get_running_loop()
        self._progress = progress
        self._no_end_in_sight = no_end_in_sight
        self._all: list[JumpingTimers] = []
        self._news = 0  # counts everything that happens
        self._under_way = 0
        self._nothing_under_way = asyncio.Event()
        self._nothing_under_way.set()
        self._waiting = 0
        self._somebody_waits = asyncio.Event()
        self._timer_set = asyncio.Event()

    def new_timers(self) -> JumpingTimers:
        """Makes timers that run by this clock."""
        now = self._all[0].now if self._all else time.time
        timers = JumpingTimers(self._loop, now, self._timer_set.set)
        self._all.append(timers)
        return timers

    def drop(self, timers: JumpingTimers) -> None:
        """Has these timers fire no more."""
        timers.close()
        self._all.remove(timers)

    # What holds the clock, and what lets it jump

    def call_begins(self) -> None:
        """Notes that a participant is at work, and the clock must not jump."""
        self._under_way += 1
        self._news += 1
        self._nothing_under_way.clear()

    def call_ends(self) -> None:
        """Notes that it is not any more."""
        self._under_way -= 1
        self._news += 1
        if not self._under_way:
            self._nothing_under_way.set()

    @contextmanager
    def somebody_waits(self) -> Iterator[None]:
        """Lets the clock jump, for somebody waits for the coordinator."""
        self._waiting += 1
        self._news += 1
        self._somebody_waits.set()
        try:
            yield
        finally:
            self._waiting -= 1
            self._news += 1
            if not self._waiting:
                self._somebody_waits.clear()

    # Jumping

    async def run(self) -> None:
        """Jumps when it may, until it is cancelled."""
        jumps, progress = 0, self._progress()
        while True:
            await self._somebody_waits.wait()
            await self.until_quiet()
            if not self._waiting:
                continue
            self._timer_set.clear()
            when = self._next_time()
            if when is None:
                await self._timer_set.wait()
                continue
            jumps = jumps + 1 if progress == self._progress() else 0
            progress = self._progress()
            if jumps > JUMPS_MAX:
                jumps = 0
                self._no_end_in_sight()
                continue
            self._jump_to(when)

    async def until_quiet(self) -> None:
        """Waits until nothing more happens unless time passes."""
        turns, seen = 0, self._news
        while turns < QUIET_TURNS:
            await self._nothing_under_way.wait()
            await asyncio.sleep(0)
            turns = turns + 1 if seen == self._news else 0
            seen = self._news

    async def advance(self, seconds: float) -> None:
        """Lets time pass, and everything happen that falls due meanwhile, in order."""
        await self.until_quiet()
        until = self._all[0].now() + seconds
        while (when := self._next_time()) is not None and when <= until:
            self._jump_to(when)
            await self.until_quiet()
        self._jump_to(until)
        await self.until_quiet()

    def _next_time(self) -> float | None:
        times = (timers.next_time() for timers in self._all)
        return min((when for when in times if when is not None), default=None)

    def _jump_to(self, when: float) -> None:
        seconds = when - self._all[0].now() + _OVERSHOOT
        if seconds > 0:
            self._news += 1
            for timers in self._all:
                timers.jump(seconds)
