"""One clock and one heap for everything that waits, on a loop whose time the test sets."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any, cast

import pytest

from amends_coordinator.timers import Timer, Timers

EPOCH = 1_700_000_000.0


class Handle:
    """A wake-up of the loop."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """As much of an event loop as timers need."""

    def __init__(self) -> None:
        self.now = 100.0
        self.handles: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        self.handles.append(Handle(when, callback))
        return self.handles[-1]

    @property
    def armed(self) -> list[Handle]:
        return [handle for handle in self.handles if not handle.cancelled]

    def go(self, seconds: float) -> None:
        """Lets time pass; wakes whom it should, at the moment that was asked for."""
        until = self.now + seconds
        while due := [handle for handle in self.armed if handle.when <= until]:
            first = min(due, key=lambda handle: handle.when)
            self.handles.remove(first)
            self.now = max(self.now, first.when)
            first.callback()
        self.now = until


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def timers(loop: FakeLoop) -> Timers:
    return Timers(cast("asyncio.AbstractEventLoop", loop), now=lambda: EPOCH)


def test_the_clock_follows_the_loop(loop: FakeLoop, timers: Timers) -> None:
    """It starts at the machine's time and is whole microseconds ever after."""
    assert timers.now() == EPOCH
    loop.go(0.123456789)
    assert timers.now() == EPOCH + 0.123457


def test_p11_a_step_of_the_machines_clock_moves_no_deadline(loop: FakeLoop) -> None:
    """The machine's clock is read once; somebody who sets it back an hour delays nothing by an hour."""
    machine = [EPOCH]
    timers = Timers(cast("asyncio.AbstractEventLoop", loop), now=lambda: machine[0])
    fired: list[float] = []
    timers.at(EPOCH + 5, lambda: fired.append(timers.now()))
    machine[0] -= 3600
    loop.go(5)
    assert fired == [EPOCH + 5]


def test_p11_timers_fire_at_their_moment_in_order(loop: FakeLoop, timers: Timers) -> None:
    """Each at its own time, however they were set; those of one moment in the order they were set."""
    fired: list[tuple[str, float]] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: fired.append((name, timers.now() - EPOCH))

    for when, name in [(3, "c"), (1, "a"), (2, "b"), (1, "a2"), (2, "b2")]:
        timers.at(EPOCH + when, note(name))
    loop.go(10)
    assert fired == [("a", 1.0), ("a2", 1.0), ("b", 2.0), ("b2", 2.0), ("c", 3.0)]
    assert len(timers) == 0


def test_a_timer_of_the_past_fires_as_soon_as_possible(loop: FakeLoop, timers: Timers) -> None:
    """What is overdue is not forgotten, and not called from within ``at``."""
    fired: list[str] = []
    timers.at(EPOCH - 5, lambda: fired.append("overdue"))
    assert fired == []
    loop.go(0)
    assert fired == ["overdue"]


def test_the_loop_is_woken_once_at_a_time(loop: FakeLoop, timers: Timers) -> None:
    """Thousands of timers are one wake-up of the loop, at the earliest of them."""
    for when in range(1000, 0, -1):
        timers.at(EPOCH + when, lambda: None)
    (handle,) = loop.armed
    assert handle.when == 101.0


def test_a_cancelled_timer_does_not_fire(loop: FakeLoop, timers: Timers) -> None:
    """However often it is cancelled, and also once it fired."""
    fired: list[str] = []
    timer = timers.at(EPOCH + 1, lambda: fired.append("cancelled"))
    other = timers.at(EPOCH + 1, lambda: fired.append("other"))
    timer.cancel()
    timer.cancel()
    assert len(timers) == 1
    loop.go(5)
    other.cancel()
    assert fired == ["other"]
    assert len(timers) == 0


def test_a_timer_may_cancel_another_that_is_due_with_it(loop: FakeLoop, timers: Timers) -> None:
    """Between two that are due together, the first has the say."""
    fired: list[str] = []
    due: list[Timer] = []

    def cancel_the_second() -> None:
        due[1].cancel()

    due.append(timers.at(EPOCH + 1, cancel_the_second))
    due.append(timers.at(EPOCH + 1, lambda: fired.append("second")))
    loop.go(5)
    assert fired == []


def test_a_timer_may_set_another(loop: FakeLoop, timers: Timers) -> None:
    """Earlier than what waits, too."""
    fired: list[str] = []
    timers.at(EPOCH + 9, lambda: fired.append("last"))
    timers.at(EPOCH + 1, lambda: timers.at(EPOCH + 2, lambda: fired.append("set by a timer")))
    loop.go(10)
    assert fired == ["set by a timer", "last"]


def test_a_loop_that_wakes_early_is_asked_again(loop: FakeLoop, timers: Timers) -> None:
    """Event loops fire up to one tick of their clock too early; a timer never does."""
    fired: list[str] = []
    timers.at(EPOCH + 1, lambda: fired.append("fired"))
    loop.now += 0.9999
    loop.handles.pop().callback()
    assert fired == []
    loop.go(0.0001)
    assert fired == ["fired"]


def test_a_callback_that_fails_holds_up_no_other(loop: FakeLoop, timers: Timers) -> None:
    """One saga's trouble must not stop the clock of all."""
    fired: list[str] = []

    def fail() -> None:
        raise RuntimeError("a mistake of ours")

    timers.at(EPOCH + 1, fail)
    timers.at(EPOCH + 1, lambda: fired.append("due with it"))
    timers.at(EPOCH + 2, lambda: fired.append("due later"))
    with pytest.raises(RuntimeError):
        loop.go(1)
    loop.go(1)
    assert fired == ["due with it", "due later"]


def test_cancelled_timers_are_swept_out(timers: Timers) -> None:
    """Attempts that are answered in time leave nothing behind for their whole limit."""
    for _ in range(10_000):
        timers.at(EPOCH + 10, lambda: None).cancel()
    kept = timers.at(EPOCH + 10, lambda: None)
    assert len(timers) == 1
    assert len(timers._heap) < 300
    kept.cancel()


def test_a_cancelled_timer_lets_go_of_what_it_would_have_called(timers: Timers) -> None:
    """The saga of an attempt that was answered is not kept alive until its limit."""

    class Thing:
        def call(self) -> None: ...

    thing = Thing()
    reference: Any = weakref.ref(thing)
    timer = timers.at(EPOCH + 10, thing.call)
    del thing
    timer.cancel()
    gc.collect()
    assert reference() is None


def test_nothing_fires_after_the_close(loop: FakeLoop, timers: Timers) -> None:
    """What was set before is let go, and may still be cancelled by who does not know."""
    fired: list[str] = []
    before = timers.at(EPOCH + 1, lambda: fired.append("before"))
    timers.close()
    before.cancel()
    loop.go(5)
    assert fired == []
    assert len(timers) == 0
    assert loop.armed == []


async def test_a_real_loop_fires_on_time() -> None:
    """With the loop and the clock that the daemon uses."""
    timers = Timers(asyncio.get_running_loop())
    fired = asyncio.Event()
    due = timers.now() + 0.05
    timers.at(due, fired.set)
    await asyncio.wait_for(fired.wait(), 5)
    assert 0 <= timers.now() - due < 0.5
    timers.close()
