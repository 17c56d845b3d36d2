"""Room: more is refused at once than can be held, and what was accepted is never refused."""

import asyncio

from amends_coordinator.runtime.errors import OverloadedError, UnavailableError
from amends_coordinator.runtime.keeper import PAGE
from amends_coordinator.runtime.room import MAX_WAITING, OVERLOAD_DELAY
from tests.runtime.runtime_world import FAR, HOLD, SUCCEEDED, order, step, world
from tests.runtime.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_saga_too_many_is_refused_at_once_and_told_when_to_come_again() -> None:
    """Nothing is written for it, and nobody waits."""
    async with world(max_live_sagas=2) as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a").answer
        await w.start("b").answer
        refused = w.start("c")
        assert refused.answer.done()  # at once
        error = await refused.error()
        assert isinstance(error, OverloadedError)
        assert (error.reason, error.retry_after) == ("TOO_MANY_SAGAS", OVERLOAD_DELAY)
        assert w.store.facts("c") == []


@in_virtual_time
async def test_there_is_room_again_once_a_saga_has_ended() -> None:
    """The place of one that ended is the next one's."""
    async with world(max_live_sagas=1) as w:
        await w.run("a")
        await w.run("b")


@in_virtual_time
async def test_p10_a_repetition_is_no_saga_too_many() -> None:
    """A full coordinator still knows the sagas it has."""
    async with world(max_live_sagas=1) as w:
        w.shop.script["reserve"] = HOLD
        await w.start("a").answer
        await w.start("a").answer


@in_virtual_time
async def test_sleeping_sagas_take_no_room() -> None:
    """What is not in memory does not fill it."""
    async with world(max_live_sagas=1) as w:
        w.shop.script["reserve"] = FAR
        for saga_id in ("a", "b", "c"):
            await w.start(saga_id).answer
            await w.asleep()


@in_virtual_time
async def test_a_participant_that_is_behind_refuses_only_the_sagas_that_need_it() -> None:
    """One that hangs must not fill the room that all share."""
    async with world() as w:
        w.shop.waiting = MAX_WAITING
        error = await w.start("a").error()
        assert isinstance(error, OverloadedError)
        assert error.reason == "PARTICIPANT_BEHIND"
        assert "shop" in str(error)
        await w.run("b", definition=order(step("pay", participant="bank")))


@in_virtual_time
async def test_a_coordinator_that_stops_accepts_nothing_more() -> None:
    """UNAVAILABLE, so that clients go elsewhere or wait for the next start."""
    async with world() as w:
        w.runtime.accepting = False
        error = await w.start("a").error()
        assert isinstance(error, UnavailableError)
        assert error.reason == "COORDINATOR_STOPPING"


@in_virtual_time
async def test_p2_recovery_beyond_the_bound_recovers_everything() -> None:
    """More unfinished sagas than there is room for, and more than one page of them: all end."""
    count = PAGE + 20
    async with world(max_live_sagas=count) as w:
        w.shop.script["reserve"] = HOLD
        await asyncio.gather(*(w.start(f"s{number:04}").answer for number in range(count)))
        await w.crash()
        w.shop.script["reserve"] = SUCCEEDED
        w._max_live_sagas = 10
        await w.open()
        await w.keeper.recovered.wait()
        await w.until(lambda: len(w.runtime) == 0)
        assert all(w.store.facts(f"s{number:04}")[-1] == "SagaCompleted" for number in range(count))


@in_virtual_time
async def test_p2_sagas_of_a_hanging_participant_do_not_keep_others_from_being_recovered() -> None:
    """A page full of sagas that hang is followed by one of another participant, and it ends."""
    async with world(max_live_sagas=PAGE + 1) as w:
        w.shop.script["reserve"] = HOLD
        await asyncio.gather(*(w.start(f"s{number:04}").answer for number in range(PAGE)))
        w.bank.script["pay"] = HOLD
        await asyncio.sleep(1.0)  # so that it comes after the others
        await w.start("z", definition=order(step("pay", participant="bank"))).answer
        await w.crash()
        w.bank.script["pay"] = SUCCEEDED
        w._max_live_sagas = PAGE
        await w.open()
        await asyncio.sleep(10.0)
        assert w.store.facts("z")[-1] == "SagaCompleted"
