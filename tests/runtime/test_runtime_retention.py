"""Retention: what ended long ago is removed, in batches; what has not ended never is."""

import asyncio

import pytest

from amends_coordinator.core.values import Payload
from amends_coordinator.runtime.errors import NotFoundError
from amends_coordinator.runtime.keeper import REMOVAL_BATCH, REMOVAL_INTERVAL
from tests.runtime.runtime_world import FAR, RETENTION, SUCCEEDED, order, step, world
from tests.runtime.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_saga_is_there_until_its_retention_has_passed_and_then_is_not() -> None:
    """Not found any more, and its removal counted."""
    async with world() as w:
        await w.run("a")
        await asyncio.sleep(RETENTION - 1.0)
        assert (await w.runtime.read("a")).state.name == "COMPLETED"
        await asyncio.sleep(REMOVAL_INTERVAL + 1.0)
        with pytest.raises(NotFoundError):
            await w.runtime.read("a")
        assert w.metrics.removed == 1


@in_virtual_time
async def test_many_are_removed_in_small_batches() -> None:
    """Commits of live sagas wait for a batch, and must not wait long."""
    count = 2 * REMOVAL_BATCH + 5
    async with world() as w:
        await asyncio.gather(*(w.run(f"s{number}", definition=order(step("a"))) for number in range(count)))
        w.store.removals.clear()
        await asyncio.sleep(RETENTION + 2 * REMOVAL_INTERVAL)
        assert [each for each in w.store.removals if each] == [REMOVAL_BATCH, REMOVAL_BATCH, 5]
        assert w.metrics.removed == count


@in_virtual_time
async def test_an_unfinished_saga_is_never_removed() -> None:
    """However old it is: here it sleeps for two hours, with a retention of one."""
    async with world() as w:
        w.shop.script["reserve"] = FAR
        await w.start("a").answer
        await asyncio.sleep(1.9 * RETENTION)
        w.shop.script["reserve"] = SUCCEEDED
        await asyncio.sleep(RETENTION)
        assert w.store.facts("a")[-1] == "SagaCompleted"


@in_virtual_time
async def test_the_id_of_a_removed_saga_can_be_used_again() -> None:
    """Also with other content: nothing is left to compare it with."""
    async with world() as w:
        await w.run("a")
        await asyncio.sleep(RETENTION + 2 * REMOVAL_INTERVAL)
        saga = await w.run("a", input=Payload("text", b"other"))
        assert saga.state.name == "COMPLETED"


@in_virtual_time
async def test_removal_waits_for_a_store_that_fails() -> None:
    """And is done once it can be."""
    async with world() as w:
        await w.run("a")
        w.store.removing_fails = True
        await asyncio.sleep(RETENTION + 2 * REMOVAL_INTERVAL)
        w.store.removing_fails = False
        assert w.metrics.removed == 0
        await asyncio.sleep(REMOVAL_INTERVAL + 1.0)
        assert w.metrics.removed == 1
