"""Time for everything that waits: one clock, one heap."""

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count


class Timer:
    """Something due at a moment. Cancelling it is cheap and may happen at any time."""

    __slots__ = ("_timers", "callback", "when")

    def __init__(self, timers: "Timers", when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback: Callable[[], object] | None = callback
        self._timers = timers

    def cancel(self) -> None:
        """Sees to it that the timer does not fire, and lets go of what it would have called."""
        if self.callback is not None:
            self.callback = None
            self._timers.note_cancelled()


class Timers:
    """A clock and the timers that run by it, on one heap and one wake-up of the event loop.

    The clock starts as the machine's and from then on follows the event loop's monotonic time: a step of
    the machine's clock moves no deadline.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float] = time.time) -> None:
        self._loop = loop
        self._offset = now() - loop.time()
        self._heap: list[tuple[float, int, Timer]] = []
        self._cancelled = 0  # timers in the heap that will not fire
        self._numbers = count()  # breaks ties, so that timers are never compared
        self._wake: asyncio.TimerHandle | None = None
        self._wake_time = 0.0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def now(self) -> float:
        """Tells the present moment: seconds since the epoch, whole microseconds."""
        return round(self._loop.time() + self._offset, 6)

    def at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Calls back at a moment, or as soon as possible if that has passed."""
        timer = Timer(self, when, callback)
        heapq.heappush(self._heap, (when, next(self._numbers), timer))
        if self._wake is None or when < self._wake_time:
            self._arm(when)
        return timer

    def note_cancelled(self) -> None:
        """Counts a cancelled timer, and sweeps them out once they are the greater part of the heap."""
        self._cancelled += 1
        if self._cancelled > 100 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def close(self) -> None:
        """Lets no timer fire any more."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        for _, _, timer in self._heap:
            timer.callback = None
        self._heap.clear()
        self._cancelled = 0

    def _arm(self, when: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake_time = when
        self._wake = self._loop.call_at(when - self._offset, self._fire)

    def _fire(self) -> None:
        self._wake = None
        now = self.now()
        try:
            while self._heap and self._heap[0][0] <= now:
                _, _, timer = heapq.heappop(self._heap)
                callback, timer.callback = timer.callback, None
                if callback is None:
                    self._cancelled -= 1
                else:
                    callback()
        finally:
            # Also after a callback that failed, which the loop reports: the others must not wait for it.
            if self._heap and (self._wake is None or self._heap[0][0] < self._wake_time):
                self._arm(self._heap[0][0])
