"""The journal: what is durable when, and what happens while nothing can be made durable."""

import asyncio
import logging

import pytest

from amends_coordinator.core import stimuli
from amends_coordinator.core.outcomes import Succeeded
from amends_coordinator.core.values import Payload
from amends_coordinator.runtime import journal
from amends_coordinator.runtime.errors import UnavailableError
from amends_coordinator.runtime.journal import MAX_BATCH_BYTES, RETRY_DELAY, Journal
from amends_coordinator.store.interface import Append, StoreError
from tests.runtime.runtime_world import FAR, HOLD, REJECTED, SUCCEEDED, World, order, parallel, step, world
from tests.runtime.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_saga_runs_to_its_end() -> None:
    """Three steps in order, each tried once, and the log tells it."""
    async with world() as w:
        saga = await w.run("a")
        assert saga.state.name == "COMPLETED"
        assert w.shop.calls == ["a/reserve Try 1", "a/charge Try 1", "a/ship Try 1"]
        assert w.store.facts("a") == ["SagaStarted", *["StepSucceeded"] * 3, "SagaCompleted"]
        assert len(w.runtime) == 0


@in_virtual_time
async def test_what_gathers_during_a_commit_goes_into_the_next() -> None:
    """One commit for the first saga, one for the ten that came meanwhile: group commit."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        w.store.open.clear()
        w.start("first")
        await w.until(lambda: w.store.begun)
        others = [w.start(f"other-{number}") for number in range(10)]
        w.store.open.set()
        for each in others:
            await each.answer
        assert [len(batch) for batch in w.store.batches] == [1, 10]


@in_virtual_time
async def test_facts_of_a_saga_are_written_in_their_order() -> None:
    """Whatever the batches, the sequence numbers of a saga rise without a gap."""
    async with world() as w:
        await asyncio.gather(
            *(w.run(f"s{number}", definition=parallel("a", "b", "c")) for number in range(20))
        )
        for number in range(20):
            written = [
                append.first_sequence + place
                for batch in w.store.batches
                for append in batch
                if append.saga_id == f"s{number}"
                for place in range(len(append.facts))
            ]
            assert written == list(range(1, len(written) + 1))


@in_virtual_time
async def test_p1_a_start_is_answered_when_it_is_durable_and_not_before() -> None:
    """While the commit runs there is no answer; it comes with the commit."""
    async with world() as w:
        w.store.open.clear()
        asking = w.start("a")
        await w.quiet()
        assert not asking.answer.done()
        w.store.open.set()
        await asking.answer
        assert w.store.facts("a")[0] == "SagaStarted"


@in_virtual_time
async def test_p7_no_call_leaves_before_the_start_is_durable() -> None:
    """While the append is held up the participant hears nothing."""
    async with world() as w:
        w.store.open.clear()
        w.start("a")
        await w.quiet()
        assert w.shop.calls == []
        w.store.open.set()
        await w.until(lambda: w.shop.calls)


@in_virtual_time
async def test_p7_no_next_try_leaves_before_the_success_it_needs_is_durable() -> None:
    """The second step waits for the disk, not only for the first step."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        w.start("a")
        await w.until(lambda: w.shop.held)
        w.store.open.clear()
        w.shop.answer(SUCCEEDED)
        await w.quiet()
        assert w.shop.calls == ["a/reserve Try 1"]
        w.store.open.set()
        await w.until(lambda: len(w.shop.calls) > 1)


@in_virtual_time
async def test_p7_no_compensate_leaves_before_the_decision_is_durable() -> None:
    """A rejection turns the saga back; the participant hears of it after the disk does."""
    async with world() as w:
        w.shop.script["ship"] = HOLD
        w.start("a")
        await w.until(lambda: w.shop.held)
        w.store.open.clear()
        w.shop.answer(REJECTED)
        await w.quiet()
        assert not any("Compensate" in call for call in w.shop.calls)
        w.store.open.set()
        await w.until(lambda: any("Compensate" in call for call in w.shop.calls))


@in_virtual_time
async def test_p7_no_try_leaves_once_the_saga_has_turned_back() -> None:
    """Not even one that was decided before, and whose commit both decisions shared."""
    async with world() as w:
        w.store.open.clear()
        asking = w.start("a", until_end=True)
        w.runtime.wish(w.live("a"), stimuli.CancelWished("enough"), w.ask().waiter)
        w.store.open.set()
        assert (await asking.answer).state.name == "COMPENSATED"
        assert w.shop.calls == ["a/reserve Compensate 1"]


@in_virtual_time
async def test_nobody_is_told_of_an_end_that_is_not_durable() -> None:
    """Who waits for the end waits for the disk as well."""
    async with world() as w:
        w.shop.script["ship"] = HOLD
        asking = w.start("a", until_end=True)
        await w.until(lambda: w.shop.held)
        w.store.open.clear()
        w.shop.answer(SUCCEEDED)
        await w.quiet()
        assert not asking.answer.done()
        w.store.open.set()
        await asking.answer
        assert asking.shown == "COMPLETED"


@in_virtual_time
async def test_what_is_shown_of_a_saga_is_durable_even_where_it_has_moved_on() -> None:
    """Asked while a commit runs, a saga that completes meanwhile is not shown as complete before it is."""
    async with world() as w:
        w.shop.script |= {"a": HOLD, "b": HOLD}
        w.start("s", definition=parallel("a", "b"))
        await w.until(lambda: len(w.shop.held) == 2)
        w.store.open.clear()
        w.shop.answer(SUCCEEDED, "a")
        await w.quiet()  # its commit is under way
        asking = w.when_durable("s")
        w.start("other")  # so that the commit which follows has something to write
        w.store.let_one_pass()
        await w.until(lambda: w.store.begun == 3)
        w.shop.answer(SUCCEEDED, "b")  # while that commit runs
        w.store.let_one_pass()
        await w.quiet()
        assert "SagaCompleted" not in w.store.facts("s")
        w.store.open.set()
        await asking.answer  # which checks that what it is told of is durable


# While the store is unavailable


@in_virtual_time
async def test_a_start_that_cannot_be_written_is_given_back_and_has_not_happened() -> None:
    """UNAVAILABLE, no call, no saga; and the same id can be started once there is room."""
    async with world() as w:
        w.store.failing = True
        error = await w.start("a").error()
        assert isinstance(error, UnavailableError)
        assert error.reason == "STORE_UNAVAILABLE"
        assert (len(w.runtime), w.shop.calls, w.store.facts("a")) == (0, [], [])
        w.store.failing = False
        assert (await w.run("a")).state.name == "COMPLETED"


@in_virtual_time
async def test_starts_are_given_back_however_much_waits_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts that are kept fill a commit; whoever comes behind them is told all the same."""
    monkeypatch.setattr(journal, "MAX_BATCH", 2)
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        for number in range(4):
            await w.start(f"s{number}").answer
        await w.until(lambda: len(w.shop.held) == 4)
        w.store.failing = True
        for _ in range(4):
            w.shop.answer(Succeeded(None))
        error = await w.start("late").error()
        assert isinstance(error, UnavailableError)
        w.store.failing = False


@in_virtual_time
async def test_a_start_that_waits_for_its_end_is_given_back_too() -> None:
    """Nobody waits for the end of a saga that never began."""
    async with world() as w:
        w.store.failing = True
        error = await w.start("a", until_end=True).error()
        assert isinstance(error, UnavailableError)


@in_virtual_time
async def test_progress_is_kept_in_order_and_written_when_there_is_room() -> None:
    """What participants reported while the disk was full is not lost, and nothing went on without it."""
    async with world() as w:
        w.shop.script |= {"a": HOLD, "b": HOLD}
        asking = w.start("s", until_end=True, definition=parallel("a", "b"))
        await w.until(lambda: len(w.shop.held) == 2)
        w.store.failing = True
        w.shop.answer(SUCCEEDED, "b")
        await asyncio.sleep(3 * RETRY_DELAY)
        w.shop.answer(SUCCEEDED, "a")
        await asyncio.sleep(3 * RETRY_DELAY)
        assert w.store.facts("s") == ["SagaStarted"]
        assert w.runtime.journal.trouble == "the disk is full"
        w.store.failing = False
        await asking.answer
        steps = [event.fact.step for event in w.store.log("s")[1:3]]  # type: ignore[union-attr]
        assert steps == ["b", "a"]
        assert w.runtime.journal.trouble is None


@in_virtual_time
async def test_wishes_are_refused_while_the_store_is_in_trouble() -> None:
    """A cancel that could not be made durable is refused, and changes nothing."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a").answer
        w.store.failing = True
        await w.start("b").error()
        with pytest.raises(UnavailableError):
            w.runtime.wish(w.live("a"), stimuli.CancelWished(""), w.when_durable("a").waiter)
        assert not w.live("a").saga.cancel_requested


@in_virtual_time
async def test_trouble_ends_by_itself_once_there_is_room() -> None:
    """Nothing is kept, nobody starts anything, and wishes are refused: the store is tried all the same."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a").answer
        w.store.failing = True
        await w.start("b").error()
        await asyncio.sleep(60.0)
        assert w.runtime.journal.trouble == "the disk is full"
        w.store.failing = False
        await asyncio.sleep(2 * RETRY_DELAY)
        asking = w.ask()
        w.runtime.wish(w.live("a"), stimuli.CancelWished(""), asking.waiter)
        await asking.answer
        probes = w.store.probes
        await asyncio.sleep(60.0)
        assert w.store.probes == probes, "a store that is well is not written for nothing"


@in_virtual_time
async def test_what_writes_nothing_does_not_end_trouble() -> None:
    """A barrier is done without the store, and says nothing about it."""
    async with world() as w:
        w.store.failing = True
        await w.start("a").error()
        done: list[str] = []
        w.runtime.journal.write(_Entry(w, done, broken=False))
        await asyncio.sleep(2 * RETRY_DELAY)
        assert (done, w.runtime.journal.trouble) == (["told"], "the disk is full")


@in_virtual_time
async def test_p2_a_start_that_was_written_although_the_store_denied_it_is_adopted() -> None:
    """The caller was told that it failed; the saga is in the store, and must not stay unowned."""
    async with world() as w:
        w.store.lying = True
        await w.start("a").error()
        assert w.store.facts("a") == ["SagaStarted"]
        w.store.lying = False
        await w.run("b")  # a commit shows that the store is well again
        await asyncio.sleep(2.0)
        assert w.store.facts("a")[-1] == "SagaCompleted"


@in_virtual_time
async def test_p2_doubtful_starts_are_looked_up_again_if_the_store_cannot_be_read() -> None:
    """A look-up that fails is repeated; none of the sagas is forgotten."""
    async with world() as w:
        w.store.lying = True
        for saga_id in ("a", "b", "c"):
            await w.start(saga_id).error()
        w.store.lying = False
        w.store.reading_fails = True
        await w.run("d")
        await asyncio.sleep(5.0)
        w.store.reading_fails = False
        await asyncio.sleep(5.0)
        assert [w.store.facts(saga_id)[-1] for saga_id in ("a", "b", "c")] == ["SagaCompleted"] * 3


@in_virtual_time
async def test_a_doubtful_start_with_a_broken_log_leaves_the_others_alone() -> None:
    """One log that cannot be read stops neither the adoption of others nor the coordinator."""
    async with world() as w:
        w.store.lying = True
        for saga_id in ("a", "b"):
            await w.start(saga_id).error()
        w.store.write_as_another("a", *[event.fact for event in w.store.log("a")])
        w.store.break_log("a")
        w.store.lying = False
        await w.run("c")
        await asyncio.sleep(3.0)
        assert w.store.facts("b")[-1] == "SagaCompleted"
        assert w.metrics.broken_logs == 1


@in_virtual_time
async def test_the_same_start_again_after_the_store_lied_is_the_same_saga() -> None:
    """P10: the client repeats its start, as it was told to, and gets the saga that the store holds."""
    async with world() as w:
        w.store.lying = True
        await w.start("a").error()
        w.store.lying = False
        error = await w.start("a").error()
        assert type(error).__name__ == "ExistsInStoreError"  # the API joins it; see the tests of same starts


# A mistake of ours


class _Entry:
    """An entry whose callback raises, or notes that it was called."""

    keep = wanted = True
    weight = 0

    def __init__(self, w: World, done: list[str], broken: bool) -> None:
        self.append: Append | None = None
        self._done, self._broken = done, broken

    def done(self) -> None:
        if self._broken:
            raise ValueError("a mistake of ours")
        self._done.append("told")

    def failed(self, error: StoreError) -> None:
        raise AssertionError from error


@in_virtual_time
async def test_a_callback_that_raises_does_not_stop_the_journal() -> None:
    """Our mistake in the affairs of one saga is logged; the entries after it are told, and more can come."""
    logging.disable(logging.ERROR)
    try:
        async with world() as w:
            done: list[str] = []
            for broken in (True, False):
                w.runtime.journal.write(_Entry(w, done, broken))
            await w.runtime.journal.until_idle()
            assert done == ["told"]
            await w.run("a")
    finally:
        logging.disable(logging.NOTSET)


@in_virtual_time
async def test_a_commit_is_bounded_in_bytes() -> None:
    """Large inputs that gather during a commit go into several; one that alone is too large is written."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        w.store.open.clear()
        w.start("first")
        await w.until(lambda: w.store.begun)
        third = Payload("text", bytes(MAX_BATCH_BYTES // 3))
        others = [w.start(f"third-{number}", input=third) for number in range(3)]
        others += [w.start("whole", input=Payload("text", bytes(MAX_BATCH_BYTES)))]
        w.store.open.set()
        for each in others:
            await each.answer
        assert [len(batch) for batch in w.store.batches] == [1, 2, 1, 1]


@in_virtual_time
async def test_what_the_store_chokes_on_fails_alone() -> None:
    """A start and a result that the store cannot take: their sagas are let go of, and all others go on."""
    logging.disable(logging.ERROR)
    try:
        async with world() as w:
            w.shop.script["reserve"] = HOLD
            running = [w.start(saga_id, until_end=True) for saga_id in ("x", "poisoned", "y")]
            await w.until(lambda: len(w.shop.held) == 3)
            w.store.poison = b"poison"
            w.store.open.clear()
            blocked = w.start("blocked")  # so that what follows goes into one commit
            await w.quiet()
            odd = w.start("odd", input=Payload("text", b"poison"))
            for outcome in (SUCCEEDED, Succeeded(Payload("text", b"poison")), SUCCEEDED):
                w.shop.answer(outcome)
            w.store.open.set()
            await blocked.answer
            assert isinstance(await odd.error(), UnavailableError)
            assert isinstance(await running[1].error(), UnavailableError)
            for each in (running[0], running[2]):
                assert (await each.answer).state.name == "COMPLETED"
            assert w.store.facts("poisoned") == ["SagaStarted"]
            assert w.runtime.live("poisoned") is None
    finally:
        logging.disable(logging.NOTSET)


@in_virtual_time
async def test_idle_means_that_everything_is_durable() -> None:
    """An orderly stop waits for this."""
    async with world() as w:
        w.shop.script["reserve"] = FAR
        w.store.open.clear()
        w.start("a", definition=order(step("reserve")))
        idle = asyncio.create_task(w.runtime.journal.until_idle())
        await w.quiet()
        assert not idle.done()
        w.store.open.set()
        await idle
        assert w.store.facts("a")
        assert isinstance(w.runtime.journal, Journal)
