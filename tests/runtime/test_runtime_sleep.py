"""Sleep: a saga with nothing due for long leaves memory, and is back when it is needed."""

import asyncio

import pytest

from amends_coordinator.core import machine, stimuli
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.outcomes import Pending, Refused
from amends_coordinator.core.values import Direction, Refusal
from amends_coordinator.runtime.keeper import NEVER
from amends_coordinator.runtime.watching import watch
from tests.runtime.runtime_world import BEGIN, FAR, HOLD, SUCCEEDED, World, order, step, world
from tests.runtime.virtual_time import in_virtual_time

ONE = order(step("reserve"))


async def _sleeper(w: World, saga_id: str = "a", definition: Definition = ONE) -> None:
    """A saga whose participant wants to be asked again in two hours, and which therefore sleeps."""
    w.shop.script["reserve"] = FAR
    await w.start(saga_id, definition=definition).answer
    await w.asleep()
    assert len(w.runtime) == 0
    w.shop.script["reserve"] = SUCCEEDED


async def _ended(w: World, saga_id: str = "a") -> str:
    await w.until(lambda: w.store.facts(saga_id)[-1] in ("SagaCompleted", "SagaCompensated"))
    return w.store.facts(saga_id)[-1]


@in_virtual_time
async def test_a_saga_with_nothing_due_for_long_leaves_memory() -> None:
    """It is in the store, with the moment at which it has to be woken."""
    async with world() as w:
        await _sleeper(w)
        assert await w.store.next_wake_time() == pytest.approx(BEGIN + 7_200.0, abs=0.01)


@in_virtual_time
async def test_a_saga_that_is_due_soon_stays() -> None:
    """Backoffs are waited for in memory."""
    async with world() as w:
        w.shop.script["reserve"] = Pending(30.0)
        await w.start("a", definition=ONE).answer
        await w.asleep()
        assert len(w.runtime) == 1


@in_virtual_time
async def test_p11_a_sleeping_saga_is_woken_at_its_time() -> None:
    """To the second at which its participant wants to be asked, not when somebody happens to look."""
    async with world() as w:
        await _sleeper(w)
        await asyncio.sleep(7_200.0 - 5.0)
        assert len(w.shop.calls) == 1
        await asyncio.sleep(5.0)
        assert len(w.shop.calls) == 2
        assert w.shop.times[1] == pytest.approx(w.shop.times[0] + 7_200.0, abs=0.001)
        assert await _ended(w) == "SagaCompleted"


@in_virtual_time
async def test_a_cancel_wakes_it() -> None:
    """It turns back now."""
    async with world() as w:
        await _sleeper(w)
        live, _ = await w.runtime.load("a")
        assert live is not None
        w.runtime.wish(live, stimuli.CancelWished("enough"), w.ask().waiter)
        assert await _ended(w) == "SagaCompensated"


@in_virtual_time
async def test_a_retry_wakes_it() -> None:
    """It is asked now instead of in two hours."""
    async with world() as w:
        await _sleeper(w)
        live, _ = await w.runtime.load("a")
        assert live is not None
        w.runtime.wish(live, stimuli.RetryWished("now"), w.ask().waiter)
        assert await _ended(w) == "SagaCompleted"
        assert asyncio.get_running_loop().time() < 60.0


@in_virtual_time
async def test_looking_at_it_changes_nothing() -> None:
    """It is read from the store, and its participant is not asked before its time."""
    async with world() as w:
        await _sleeper(w)
        assert (await w.runtime.read("a")).state.name == "RUNNING"
        assert len(w.runtime) == 0
        await asyncio.sleep(7_300.0)
        assert len(w.shop.calls) == 2


@in_virtual_time
async def test_a_watcher_sees_what_happens_once_it_is_awake() -> None:
    """Watching a sleeping saga is waiting for its time."""
    async with world() as w:
        await _sleeper(w)
        names = [type(event.fact).__name__ async for event in watch(w.runtime, "a", 0, live=True)]
        assert names == ["SagaStarted", "AttemptPending", "StepSucceeded", "SagaCompleted"]


@in_virtual_time
async def test_it_does_not_sleep_while_somebody_watches_and_does_once_nobody_does() -> None:
    """A watcher holds it in memory only as long as it watches."""
    async with world() as w:
        w.shop.script["reserve"] = FAR
        await w.start("a", definition=ONE).answer
        watcher = asyncio.create_task(_watch_for_ever(w))
        await w.asleep()
        assert len(w.runtime) == 1
        watcher.cancel()
        await w.asleep()
        assert len(w.runtime) == 0


async def _watch_for_ever(w: World) -> None:
    async for _ in watch(w.runtime, "a", 0, live=True):
        pass


@in_virtual_time
async def test_it_does_not_sleep_while_somebody_waits_and_does_once_nobody_does() -> None:
    """Whoever ran out of patience leaves nothing behind."""
    async with world() as w:
        w.shop.script["reserve"] = FAR
        waiting = w.start("a", definition=ONE, until_end=True)
        await w.asleep()
        assert len(w.runtime) == 1
        w.runtime.stop_waiting("a", waiting.waiter)
        assert (await waiting.answer).state.name == "RUNNING"
        await w.asleep()
        assert len(w.runtime) == 0


@in_virtual_time
async def test_sleep_is_tried_again_if_the_store_failed() -> None:
    """A store that cannot be written keeps sagas awake for the time being."""
    async with world() as w:
        w.shop.script["reserve"] = FAR
        await w.start("a", definition=ONE).answer
        w.store.sleeping_fails = True
        await w.asleep()
        assert len(w.runtime) == 1
        w.store.sleeping_fails = False
        await w.asleep()
        assert len(w.runtime) == 0


@in_virtual_time
async def test_a_parked_saga_sleeps_until_an_operator_comes() -> None:
    """Nothing is due for it, ever."""
    async with world() as w:
        await _park(w)
        assert len(w.runtime) == 0
        assert await w.store.next_wake_time() == NEVER
        w.shop.script["reserve", Direction.BACKWARD] = machine.outcomes.Compensated()
        live, _ = await w.runtime.load("a")
        assert live is not None
        w.runtime.wish(live, stimuli.RetryWished("mended"), w.ask().waiter)
        assert await _ended(w) == "SagaCompensated"


async def _park(w: World) -> None:
    w.shop.script["reserve", Direction.BACKWARD] = Refused(Refusal("TOO_LATE"))
    w.shop.script["charge"] = HOLD
    await w.start("a", definition=order(step("reserve"), step("charge"))).answer
    await w.until(lambda: w.shop.held)
    asking = w.ask()
    w.runtime.wish(w.live("a"), stimuli.CancelWished(""), asking.waiter)
    w.shop.answer(machine.outcomes.Rejected(machine.f.Rejection("NO")))
    await w.until(lambda: w.store.facts("a")[-1] == "SagaParked")
    await w.asleep()


# Crashes


@in_virtual_time
async def test_a_crash_does_not_wake_it() -> None:
    """It sleeps on in the store, and is woken at its time by the next coordinator."""
    async with world() as w:
        await _sleeper(w)
        await w.restart()
        await w.keeper.recovered.wait()
        assert len(w.runtime) == 0
        await asyncio.sleep(7_300.0)
        assert await _ended(w) == "SagaCompleted"
        assert len(w.shop.calls) == 2


@in_virtual_time
async def test_its_time_may_come_while_the_coordinator_is_down() -> None:
    """Then it is woken at the start."""
    async with world() as w:
        await _sleeper(w)
        await w.crash()
        await asyncio.sleep(8_000.0)
        await w.open()
        assert await _ended(w) == "SagaCompleted"


@in_virtual_time
async def test_p2_a_crash_while_it_was_being_woken_loses_nothing() -> None:
    """The store knows it as awake, so the next coordinator recovers it like any other."""
    async with world() as w:
        await _sleeper(w)
        await w.store.take_due(BEGIN + 7_300.0, 10)  # and the coordinator dies right then
        await w.restart()
        await asyncio.sleep(7_300.0)
        assert await _ended(w) == "SagaCompleted"


@in_virtual_time
async def test_p11_the_deadline_of_a_sleeping_saga_fires() -> None:
    """An hour is its timeout, and its participant wants two."""
    async with world() as w:
        await _sleeper(w, definition=order(step("reserve"), timeout=3_600.0))
        await asyncio.sleep(3_590.0)
        assert w.store.facts("a")[-1] == "AttemptPending"
        await asyncio.sleep(10.0)
        assert await _ended(w) == "SagaCompensated"
        turned = next(
            event for event in w.store.log("a") if type(event.fact).__name__ == "CompensationStarted"
        )
        assert turned.time == pytest.approx(BEGIN + 3_600.0, abs=0.001)


@in_virtual_time
async def test_many_sleepers_with_the_same_time_are_all_woken() -> None:
    """More than one page of them."""
    async with world(max_live_sagas=2_000) as w:
        w.shop.script["reserve"] = FAR
        await asyncio.gather(*(w.start(f"s{n}", definition=ONE).answer for n in range(1_100)))
        await w.asleep()
        assert len(w.runtime) == 0
        w.shop.script["reserve"] = SUCCEEDED
        await asyncio.sleep(7_205.0)
        assert all(w.store.facts(f"s{n}")[-1] == "SagaCompleted" for n in range(1_100))


@in_virtual_time
async def test_looking_back_at_a_sleeping_saga_does_not_wake_it() -> None:
    """Its history is read from the store, and it sleeps on."""
    async with world() as w:
        await _sleeper(w)
        assert [event.sequence async for event in watch(w.runtime, "a", 0, live=False)] == [1, 2]
        assert len(w.runtime) == 0


@in_virtual_time
async def test_a_sleeping_saga_that_is_looked_up_has_lost_no_attempt() -> None:
    """Nothing of it was under way, however late it is looked up."""
    async with world() as w:
        await _sleeper(w)
        w.shop.script["reserve"] = HOLD
        await asyncio.sleep(7_200.0)
        await w.runtime.load("a")
        assert "AttemptFailed" not in w.store.facts("a")
