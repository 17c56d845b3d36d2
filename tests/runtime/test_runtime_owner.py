"""P9: a saga that somebody else writes is let go of, and the others go on."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from amends_coordinator.core import facts as f
from amends_coordinator.core import stimuli
from amends_coordinator.core.outcomes import Pending
from amends_coordinator.runtime.errors import UnavailableError
from amends_coordinator.runtime.watching import watch
from tests.runtime.runtime_world import HOLD, SUCCEEDED, World, order, parallel, step, world
from tests.runtime.virtual_time import in_virtual_time

OTHERS_FACT = f.CancelRequested("by another coordinator")


@pytest.fixture(autouse=True)
def _expect_errors_in_the_log() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


async def _lose(w: World, saga_id: str = "lost") -> None:
    """Has another coordinator write an event of a saga, whose step then succeeds."""
    w.store.write_as_another(saga_id, OTHERS_FACT)
    w.shop.answer(SUCCEEDED)
    await w.until(lambda: w.runtime.live(saga_id) is None)


@in_virtual_time
async def test_p9_nothing_more_is_written_for_a_saga_that_was_lost() -> None:
    """The log stays as the other coordinator left it, and no call follows."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("lost").answer
        await w.until(lambda: w.shop.held)
        await _lose(w)
        await asyncio.sleep(60.0)
        assert w.store.facts("lost") == ["SagaStarted", "CancelRequested"]
        assert w.shop.calls == ["lost/reserve Try 1"]


@in_virtual_time
async def test_p9_an_answer_that_comes_after_the_loss_is_not_heard() -> None:
    """A call may still be in flight when the saga is lost; what it comes to is the new owner's business."""
    async with world() as w:
        w.shop.script |= {"a": HOLD, "b": HOLD}
        await w.start("lost", definition=parallel("a", "b")).answer
        await w.until(lambda: len(w.shop.held) == 2)
        await _lose(w)
        w.shop.answer(SUCCEEDED)
        await w.quiet()
        assert w.store.facts("lost") == ["SagaStarted", "CancelRequested"]


@in_virtual_time
async def test_p9_whoever_waits_for_a_lost_saga_is_told_to_come_again() -> None:
    """Waiting for an end that this coordinator will never see is ended."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        waiting = w.start("lost", until_end=True)
        await w.until(lambda: w.shop.held)
        await _lose(w)
        error = await waiting.error()
        assert isinstance(error, UnavailableError)
        assert error.reason == "SAGA_NOT_OWNED"


@in_virtual_time
async def test_p9_a_wish_that_comes_too_late_is_told_so() -> None:
    """A cancel that loses the race to another coordinator is not answered with success."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("lost").answer
        w.store.write_as_another("lost", OTHERS_FACT)
        asking = w.ask()
        w.runtime.wish(w.live("lost"), stimuli.CancelWished(""), asking.waiter)
        assert isinstance(await asking.error(), UnavailableError)


@in_virtual_time
async def test_p9_watchers_of_a_lost_saga_see_what_is_in_the_log_and_then_the_end_of_their_watch() -> None:
    """Nobody goes on watching what this coordinator does not drive any more."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("lost").answer
        await w.until(lambda: w.shop.held)
        seen = asyncio.create_task(_names(w, "lost"))
        await w.quiet()
        await _lose(w)
        assert await seen == ["SagaStarted", "CancelRequested"]


@in_virtual_time
async def test_p7_a_lost_saga_that_comes_back_tries_nothing_after_it_turned_back() -> None:
    """What was being tried then was in flight, whoever looks at the saga next, and is undone."""
    async with world() as w:
        w.shop.script["reserve"] = Pending(1.0)
        await w.start("lost", definition=order(step("reserve"))).answer
        await w.quiet()
        w.shop.script["reserve"] = HOLD
        await asyncio.sleep(1.0)
        w.runtime.wish(w.live("lost"), stimuli.CancelWished(""), w.ask().waiter)
        await w.quiet()
        await _lose(w)
        w.shop.script["reserve"] = SUCCEEDED
        await w.runtime.load("lost")
        await w.until(lambda: w.store.facts("lost")[-1] == "SagaCompensated")
        assert w.shop.calls == ["lost/reserve Try 1", "lost/reserve Try 1", "lost/reserve Compensate 1"]


@in_virtual_time
async def test_p9_calls_of_a_lost_saga_that_wait_to_be_sent_are_withdrawn() -> None:
    """Its owner makes them, if they are to be made; one that left later would speak for an old attempt."""
    async with world() as w:
        w.shop.script |= {"a": HOLD, "b": HOLD}
        await w.start("lost", definition=parallel("a", "b")).answer
        await w.until(lambda: len(w.shop.held) == 2)
        waiting = w.live("lost").attempts[1]
        w.store.write_as_another("lost", OTHERS_FACT)
        w.shop.answer(SUCCEEDED, "a")
        await w.until(lambda: w.runtime.live("lost") is None)
        assert w.shop.withdrawn == [waiting]


async def _names(w: World, saga_id: str) -> list[str]:
    return [type(event.fact).__name__ async for event in watch(w.runtime, saga_id, 0, live=True)]


@in_virtual_time
async def test_p9_other_sagas_of_the_same_batch_go_on() -> None:
    """The conflict of one saga is its own."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        endings = [w.start(saga_id, until_end=True) for saga_id in ("x", "lost", "y")]
        await w.until(lambda: len(w.shop.held) == 3)
        w.store.write_as_another("lost", OTHERS_FACT)
        w.store.open.clear()
        await w.quiet()
        for _ in range(3):
            w.shop.answer(SUCCEEDED)
        w.store.open.set()
        await endings[0].answer
        await endings[2].answer
        assert [append.saga_id for append in w.store.batches[1]] == ["x", "lost", "y"]
        assert w.store.facts("lost") == ["SagaStarted", "CancelRequested"]


@in_virtual_time
async def test_p9_what_was_decided_before_the_loss_was_known_is_not_written() -> None:
    """Two facts are under way when another writes one; the second would fit behind it, in a later batch."""
    async with world() as w:
        w.shop.script |= {"a": HOLD, "b": HOLD}
        await w.start("lost", definition=parallel("a", "b")).answer
        await w.until(lambda: len(w.shop.held) == 2)
        w.store.open.clear()
        w.shop.answer(SUCCEEDED, "a")
        await w.quiet()  # its commit is under way
        w.shop.answer(SUCCEEDED, "b")
        w.store.write_as_another("lost", OTHERS_FACT)
        w.store.open.set()
        await w.until(lambda: w.runtime.live("lost") is None)
        await w.quiet()
        assert w.store.facts("lost") == ["SagaStarted", "CancelRequested"]
        await w.runtime.journal.until_idle()


@in_virtual_time
async def test_p10_a_start_with_a_taken_id_changes_nothing_and_hides_nothing() -> None:
    """Recovery comes by while the odd start is in memory: the stored saga goes on all the same, as it was."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a").answer
        await w.until(lambda: w.shop.held)
        await w.crash()
        reading = w.store.hold_reading()
        await w.open()
        await w.until(lambda: w.store.pages_read == 2)
        w.store.open.clear()
        odd = w.start("a", definition=order(timeout=0.005))
        await asyncio.sleep(0.02)  # its deadline passes while its start is being written
        reading.set()
        await w.keeper.recovered.wait()
        w.shop.script["reserve"] = SUCCEEDED
        w.store.open.set()
        assert type(await odd.error()).__name__ == "ExistsInStoreError"
        await asyncio.sleep(2.0)
        assert "CompensationStarted" not in w.store.facts("a")
        assert w.store.facts("a")[-1] == "SagaCompleted"
