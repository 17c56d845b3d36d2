"""Watching: what happened so far, then what happens, each event once, in order, and durable."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from amends_coordinator.core.facts import Event
from amends_coordinator.core.outcomes import Refused
from amends_coordinator.core.stimuli import RetryWished
from amends_coordinator.core.values import Direction, Refusal
from amends_coordinator.runtime.errors import NotFoundError
from amends_coordinator.runtime.watching import watch
from tests.runtime.runtime_world import HOLD, REJECTED, SUCCEEDED, World, order, step, world
from tests.runtime.virtual_time import in_virtual_time

STEPS = ("reserve", "charge", "ship")
WHOLE = [1, 2, 3, 4, 5]
"""A saga of three steps: its start, three successes, its end."""


async def _begin(w: World) -> None:
    """A saga that moves when the test answers."""
    for name in STEPS:
        w.shop.script[name] = HOLD
    await w.start("a").answer
    await w.until(lambda: w.shop.held)


async def _finish(w: World) -> None:
    while "SagaCompleted" not in w.store.facts("a"):
        await w.until(lambda: w.shop.held or "SagaCompleted" in w.store.facts("a"))
        if w.shop.held:
            w.shop.answer(SUCCEEDED)
        await w.quiet()


async def _numbers(events: AsyncIterator[Event]) -> list[int]:
    return [event.sequence async for event in events]


@in_virtual_time
async def test_history_and_then_live_without_gap_or_duplicate() -> None:
    """Joined in the middle of a saga, a watcher sees all of it once, and the watch ends with the saga."""
    async with world() as w:
        await _begin(w)
        w.shop.answer(SUCCEEDED)
        await w.quiet()
        watching = asyncio.create_task(_numbers(watch(w.runtime, "a", 0, live=True)))
        await w.quiet()
        await _finish(w)
        assert await watching == WHOLE


@pytest.mark.parametrize("after", range(6))
def test_a_watch_is_resumed_after_any_event(after: int) -> None:
    """What the watcher has seen does not come again, and nothing is left out."""

    @in_virtual_time
    async def run() -> None:
        async with world() as w:
            await _begin(w)
            watching = asyncio.create_task(_numbers(watch(w.runtime, "a", after, live=True)))
            await w.quiet()
            await _finish(w)
            assert await watching == WHOLE[after:]

    run()


@in_virtual_time
async def test_a_saga_that_has_ended_is_told_whole() -> None:
    """The watch ends by itself."""
    async with world() as w:
        await w.run("a")
        assert await _numbers(watch(w.runtime, "a", 0, live=True)) == WHOLE


@in_virtual_time
async def test_history_only_ends_with_what_happened_so_far() -> None:
    """It does not wait for the saga."""
    async with world() as w:
        await _begin(w)
        assert await _numbers(watch(w.runtime, "a", 0, live=False)) == [1]
        assert w.live("a").watchers == []


@in_virtual_time
async def test_there_is_nothing_to_watch_of_a_saga_that_does_not_exist() -> None:
    """NOT_FOUND, before any event."""
    async with world() as w:
        with pytest.raises(NotFoundError):
            await _numbers(watch(w.runtime, "a", 0, live=True))


@in_virtual_time
async def test_two_watchers_see_the_same() -> None:
    """Each for itself."""
    async with world() as w:
        await _begin(w)
        both = [asyncio.create_task(_numbers(watch(w.runtime, "a", 0, live=True))) for _ in range(2)]
        await w.quiet()
        await _finish(w)
        assert [await each for each in both] == [WHOLE, WHOLE]


@in_virtual_time
async def test_a_slow_watcher_holds_up_nobody_and_misses_nothing() -> None:
    """It takes an event an hour; the saga is long over, and the rest is read from the store."""
    async with world() as w:
        await _begin(w)
        seen = []

        async def dawdle() -> None:
            async for event in watch(w.runtime, "a", 0, live=True):
                seen.append(event.sequence)
                await asyncio.sleep(3_600.0)

        watching = asyncio.create_task(dawdle())
        await w.quiet()
        await _finish(w)
        assert len(w.runtime) == 0
        assert seen == [1]
        await watching
        assert seen == WHOLE


@in_virtual_time
async def test_a_watcher_that_goes_away_leaves_nothing_behind() -> None:
    """The saga goes on without it."""
    async with world() as w:
        await _begin(w)
        watching = asyncio.create_task(_numbers(watch(w.runtime, "a", 0, live=True)))
        await w.until(lambda: w.live("a").watchers)
        watching.cancel()
        await w.until(lambda: not w.live("a").watchers)
        await _finish(w)


@in_virtual_time
async def test_an_event_is_shown_only_when_it_is_durable() -> None:
    """The machine knows it, the disk does not yet: the watcher waits."""
    async with world() as w:
        await _begin(w)
        seen = []

        async def note() -> None:
            async for event in watch(w.runtime, "a", 0, live=True):
                seen.append(event.sequence)  # noqa: PERF401 - one by one, as they come

        watching = asyncio.create_task(note())
        await w.quiet()
        w.store.open.clear()
        w.shop.answer(SUCCEEDED)
        await w.quiet()
        assert seen == [1]
        w.store.open.set()
        await w.until(lambda: seen == [1, 2])
        await _finish(w)
        await watching


@in_virtual_time
async def test_a_watch_goes_on_while_a_saga_is_parked() -> None:
    """Parking is not the end: once an operator has it retried, the watcher sees that too."""
    async with world() as w:
        w.shop.script |= {"ship": REJECTED, ("reserve", Direction.BACKWARD): Refused(Refusal("TOO_LATE"))}
        await w.start("a", definition=order(step("reserve"), step("ship"))).answer
        watching = asyncio.create_task(_names(watch(w.runtime, "a", 0, live=True)))
        await w.until(lambda: w.store.facts("a")[-1] == "SagaParked")
        await w.quiet()
        del w.shop.script["reserve", Direction.BACKWARD]
        w.runtime.wish(w.live("a"), RetryWished("mended"), w.ask().waiter)
        assert (await watching)[-4:] == ["SagaParked", "SagaRetried", "StepCompensated", "SagaCompensated"]


async def _names(events: AsyncIterator[Event]) -> list[str]:
    return [type(event.fact).__name__ async for event in events]
