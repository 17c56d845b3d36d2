"""Recovery: every unfinished saga goes on, page by page, while new ones are accepted."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.core.values import Direction
from amends_coordinator.runtime.keeper import PAGE
from tests.runtime.runtime_world import BEGIN, HOLD, REJECTED, SUCCEEDED, UNKNOWN, World, order, step, world
from tests.runtime.virtual_time import in_virtual_time


@contextmanager
def quiet_log() -> Iterator[None]:
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


async def _unfinished(w: World, count: int) -> list[str]:
    """Starts sagas that wait for their first step, and crashes."""
    w.shop.script["reserve"] = HOLD
    saga_ids = [f"s{number:04}" for number in range(count)]
    await asyncio.gather(*(w.start(saga_id).answer for saga_id in saga_ids))
    await w.until(lambda: len(w.shop.held) == count)
    await w.crash()
    return saga_ids


@in_virtual_time
async def test_p2_more_than_a_page_of_unfinished_sagas_all_end() -> None:
    """Two whole pages and a bit."""
    async with world(max_live_sagas=5_000) as w:
        saga_ids = await _unfinished(w, 2 * PAGE + 7)
        w.shop.script["reserve"] = SUCCEEDED
        await w.open()
        await w.keeper.recovered.wait()
        await w.until(lambda: len(w.runtime) == 0)
        assert {w.store.facts(saga_id)[-1] for saga_id in saga_ids} == {"SagaCompleted"}


@in_virtual_time
async def test_new_sagas_are_accepted_while_recovery_runs() -> None:
    """The first page may take its time; a saga that is started meanwhile does not wait for it."""
    async with world() as w:
        await _unfinished(w, 3)
        reading = w.store.hold_reading()
        w.shop.script["reserve"] = SUCCEEDED
        await w.open()
        await w.run("new")
        assert not w.keeper.recovered.is_set()
        reading.set()
        await w.keeper.recovered.wait()


@in_virtual_time
async def test_an_attempt_in_flight_counts_as_one_that_ended_unknown() -> None:
    """Nobody knows what it came to: the log says so, and the step is tried again."""
    async with world() as w:
        await _unfinished(w, 1)
        w.shop.script["reserve"] = SUCCEEDED
        await w.open()
        await w.until(lambda: w.store.facts("s0000")[-1] == "SagaCompleted")
        assert w.shop.calls[:2] == ["s0000/reserve Try 1", "s0000/reserve Try 2"]
        assert w.store.facts("s0000")[1] == "AttemptFailed"


@in_virtual_time
async def test_the_count_of_attempts_survives_crashes() -> None:
    """A step that takes the coordinator down with it is not tried for ever."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a", definition=order(step("reserve"), step("charge"))).answer
        for _ in range(20):
            await w.restart()
            await w.keeper.recovered.wait()
            await w.quiet()
        await w.until(lambda: w.store.facts("a")[-1] == "SagaCompensated")
        assert len([call for call in w.shop.calls if "Try" in call]) == 20


@in_virtual_time
async def test_a_backoff_goes_on_where_it_was() -> None:
    """A restart is no reason to call a participant sooner than was decided."""
    async with world() as w:
        w.shop.script["reserve"] = UNKNOWN
        await w.start("a").answer
        await w.until(lambda: "AttemptFailed" in w.store.facts("a"))
        w.shop.script["reserve"] = SUCCEEDED
        await w.restart()
        await asyncio.sleep(1.0)
        assert w.shop.times[1] - w.shop.times[0] == pytest.approx(0.05, abs=0.001)  # half of 0.1 s
        assert w.store.facts("a").count("AttemptFailed") == 1


@in_virtual_time
async def test_a_broken_log_leaves_the_others_alone_and_is_visible() -> None:
    """It is counted and logged; looking at the saga says what is wrong."""
    async with world() as w:
        await _unfinished(w, 3)
        w.store.write_as_another("s0001", w.store.log("s0001")[0].fact)
        w.store.break_log("s0001")
        w.shop.script["reserve"] = SUCCEEDED
        with quiet_log():
            await w.open()
            await w.keeper.recovered.wait()
        await w.until(lambda: len(w.runtime) == 0)
        assert [w.store.facts(saga_id)[-1] for saga_id in ("s0000", "s0002")] == ["SagaCompleted"] * 2
        assert w.metrics.broken_logs == 1
        with pytest.raises(BrokenLogError, match="s0001"):
            await w.runtime.load("s0001")


@in_virtual_time
async def test_p11_a_deadline_that_passed_while_the_coordinator_was_down_fires_at_once() -> None:
    """The saga turns back at its recovery, and its step in doubt is compensated."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a", definition=order(step("reserve"), timeout=60.0)).answer
        await w.until(lambda: w.shop.held)
        await w.crash()
        await asyncio.sleep(100.0)
        await w.open()
        await w.until(lambda: w.store.facts("a")[-1] == "SagaCompensated")
        assert w.shop.calls == ["a/reserve Try 1", "a/reserve Compensate 1"]


@in_virtual_time
async def test_p11_a_deadline_survives_a_restart() -> None:
    """It is a moment, kept in the log; a restart does not begin it again."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a", definition=order(step("reserve"), timeout=60.0)).answer
        await asyncio.sleep(40.0)
        await w.restart()
        await asyncio.sleep(30.0)
        turned = next(each for each in w.store.log("a") if type(each.fact).__name__ == "CompensationStarted")
        assert turned.time == pytest.approx(BEGIN + 60.0, abs=0.001)


@in_virtual_time
async def test_a_compensation_in_flight_is_repeated() -> None:
    """The way back goes on like the way forward."""
    async with world() as w:
        w.shop.script |= {"ship": REJECTED, ("charge", Direction.BACKWARD): HOLD}
        await w.start("a").answer
        await w.until(lambda: w.shop.held)
        del w.shop.script["charge", Direction.BACKWARD]
        await w.restart()
        await w.until(lambda: w.store.facts("a")[-1] == "SagaCompensated")
        assert [call for call in w.shop.calls if "charge Compensate" in call] == [
            "a/charge Compensate 1",
            "a/charge Compensate 2",
        ]


@in_virtual_time
async def test_recovery_waits_for_a_store_that_cannot_be_read() -> None:
    """The coordinator serves on, and recovers once it can."""
    async with world() as w:
        await _unfinished(w, 1)
        w.shop.script["reserve"] = SUCCEEDED
        w.store.reading_fails = True
        await w.open()
        await asyncio.sleep(5.0)
        assert not w.keeper.recovered.is_set()
        w.store.reading_fails = False
        await w.keeper.recovered.wait()
        await w.until(lambda: w.store.facts("s0000")[-1] == "SagaCompleted")


@in_virtual_time
async def test_a_saga_that_ends_while_its_page_is_read_is_not_brought_back() -> None:
    """A client woke it, it ended, and only then does recovery hold an earlier state of it in its hands."""
    async with world() as w:
        await _unfinished(w, 1)
        reading = w.store.hold_reading()
        w.shop.script["reserve"] = SUCCEEDED
        await w.open()
        await w.until(lambda: w.store.pages_read)
        await w.runtime.load("s0000")
        await w.until(lambda: w.store.facts("s0000")[-1] == "SagaCompleted")
        calls = list(w.shop.calls)
        reading.set()
        await w.keeper.recovered.wait()
        await w.quiet()
        assert len(w.runtime) == 0
        assert w.shop.calls == calls


@in_virtual_time
async def test_readers_at_the_same_time_each_learn_who_left_meanwhile() -> None:
    """A look-up that comes and goes does not take away what a slower reader collects."""
    async with world() as w:
        with w.runtime.absent.departures() as slow:
            with w.runtime.absent.departures():
                pass
            await w.run("a")
        assert slow == {"a"}


@in_virtual_time
async def test_a_doubtful_start_that_ends_while_it_is_looked_up_is_not_brought_back() -> None:
    """A client woke it meanwhile, and what the look-up holds in its hands is an earlier state."""
    async with world() as w:
        w.store.lying = True
        await w.start("a").error()
        w.store.lying = False
        await w.run("b")  # a commit shows that the store is well again
        reading = w.store.hold_log()
        await asyncio.sleep(2.0)
        w.store.hold_log().set()
        await w.runtime.load("a")
        await w.until(lambda: w.store.facts("a")[-1] == "SagaCompleted")
        appends = w.store.begun
        reading.set()
        await w.quiet()
        assert w.store.begun == appends
