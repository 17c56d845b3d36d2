"""P11: deadlines fire from their own timers, to the moment."""

import asyncio

import pytest

from amends_coordinator.core.definition import Kind, Retry
from amends_coordinator.core.outcomes import Pending
from tests.runtime.runtime_world import BEGIN, HOLD, SUCCEEDED, UNKNOWN, World, forever, order, step, world
from tests.runtime.virtual_time import in_virtual_time

SLOW = Retry(initial_backoff=3_000.0, max_backoff=3_000.0)


def _moment(w: World, saga_id: str, fact: str) -> float:
    """Seconds after the beginning at which a fact was recorded."""
    return next(event.time for event in w.store.log(saga_id) if type(event.fact).__name__ == fact) - BEGIN


@in_virtual_time
async def test_p11_a_deadline_does_not_wait_for_the_next_retry() -> None:
    """The next attempt is due in half an hour; the saga turns back after ten seconds all the same."""
    async with world() as w:
        w.shop.script["reserve"] = UNKNOWN
        saga = await w.run("a", definition=order(step("reserve", retry=SLOW), timeout=10.0))
        assert saga.turn_back is not None
        assert saga.turn_back.reason == "DEADLINE_PASSED"
        assert _moment(w, "a", "CompensationStarted") == pytest.approx(10.0, abs=0.001)


@in_virtual_time
async def test_p11_a_deadline_does_not_wait_for_a_call_in_flight() -> None:
    """The decision is taken at the moment; only the compensation waits for what is in flight."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        w.start("a", definition=order(step("reserve"), timeout=10.0))
        await asyncio.sleep(20.0)
        assert _moment(w, "a", "CompensationStarted") == pytest.approx(10.0, abs=0.001)
        assert w.shop.calls == ["a/reserve Try 1"]
        w.shop.answer(SUCCEEDED)
        await w.until(lambda: w.store.facts("a")[-1] == "SagaCompensated")


@in_virtual_time
async def test_p11_deadlines_of_many_sagas_fire_each_at_its_own_moment() -> None:
    """One heap, in order."""
    async with world() as w:
        w.shop.script["reserve"] = Pending(3_000.0)
        for number in (3, 1, 2):
            w.start(f"s{number}", definition=order(step("reserve"), timeout=float(number)))
        await asyncio.sleep(5.0)
        for number in (1, 2, 3):
            assert _moment(w, f"s{number}", "CompensationStarted") == pytest.approx(number, abs=0.001)


@in_virtual_time
async def test_a_deadline_that_is_met_does_not_fire() -> None:
    """A saga that has ended has no timer any more."""
    async with world() as w:
        await w.run("a", definition=order(step("reserve"), timeout=10.0))
        assert len(w.timers) == 0


@in_virtual_time
async def test_p8_a_deadline_after_the_pivot_changes_nothing() -> None:
    """The saga only goes forward from there."""
    async with world() as w:
        w.shop.script["ship"] = UNKNOWN
        waiting = w.start(
            "a", definition=order(step("pay", kind=Kind.PIVOT), forever("ship"), timeout=5.0), until_end=True
        )
        await asyncio.sleep(60.0)
        w.shop.script["ship"] = SUCCEEDED
        assert (await waiting.answer).state.name == "COMPLETED"


@in_virtual_time
async def test_retries_leave_at_their_moment() -> None:
    """With half of the bound drawn each time: after 50, 100 and 200 milliseconds."""
    async with world() as w:
        w.shop.script["reserve"] = UNKNOWN
        w.start("a", definition=order(step("reserve")))
        await asyncio.sleep(0.5)
        waits = [later - sooner for sooner, later in zip(w.shop.times, w.shop.times[1:], strict=False)]
        assert waits == pytest.approx([0.05, 0.1, 0.2], abs=0.0001)


@in_virtual_time
async def test_a_wait_that_a_participant_asks_for_is_kept_to_the_moment() -> None:
    """Pending for 2.5 seconds means 2.5 seconds."""
    async with world() as w:
        w.shop.script["reserve"] = Pending(2.5)
        w.start("a", definition=order(step("reserve")))
        await asyncio.sleep(3.0)
        assert w.shop.times == pytest.approx([0.0, 2.5], abs=0.0001)


@in_virtual_time
async def test_what_is_due_while_the_store_is_in_trouble_is_done_once_it_is_not() -> None:
    """A deadline that cannot be written is written late, and not forgotten."""
    async with world() as w:
        w.shop.script["reserve"] = Pending(3_000.0)
        await w.start("a", definition=order(step("reserve"), timeout=5.0)).answer
        await w.until(lambda: "AttemptPending" in w.store.facts("a"))
        w.store.failing = True
        await asyncio.sleep(10.0)
        assert w.store.facts("a")[-1] == "AttemptPending"
        w.store.failing = False
        await asyncio.sleep(1.0)
        assert w.store.facts("a")[-1] == "SagaCompensated"
