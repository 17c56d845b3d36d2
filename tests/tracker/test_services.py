"""Real services on real buses: what the tracker concludes from what they say by themselves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amends.v1 import saga_pb2
from amends_coordinator.cli._dead_letters import _discard, _replay
from tests.choreography.conftest import bus_url, few_partitions, nats, stage
from tests.choreography.foreign import failed
from tests.choreography.stage import Stage
from tests.tracker.conftest import World

__all__ = ["bus_url", "few_partitions", "nats", "stage"]


@pytest.fixture
async def followed(stage: Stage, bus_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A tracker on the bus of a shop whose services all run."""
    await stage.start()
    world = World(tmp_path, bus_url)
    await world.open()
    yield world
    await world.close()


async def states(world: World, saga_id: str) -> tuple[str, dict[str, str]]:
    saga = await world.get(saga_id)
    steps = {run.step: saga_pb2.StepRun.State.Name(run.state) for run in saga.steps}
    return saga_pb2.Saga.State.Name(saga.state), steps


async def test_an_order_that_is_delivered_has_completed(followed: World, stage: Stage) -> None:
    await stage.place("s-1")
    await followed.until_ended("s-1")
    assert await states(followed, "s-1") == (
        "COMPLETED",
        {
            "orders.place": "SUCCEEDED",
            "inventory.reserve": "SUCCEEDED",
            "payments.charge": "SUCCEEDED",
            "shipping.ship": "SUCCEEDED",
            "orders.close": "SUCCEEDED",
        },
    )
    assert (await followed.get("s-1")).definition.name == "orders.place"


async def test_a_rejection_is_followed_until_all_is_undone(followed: World, stage: Stage) -> None:
    """What no event tells of by itself, such as a compensation that emits nothing, is told all the same."""
    await stage.place("s-1", "reject:ship")
    await followed.until_ended("s-1")
    assert await states(followed, "s-1") == (
        "COMPENSATED",
        {
            "orders.place": "COMPENSATED",
            "inventory.reserve": "COMPENSATED",
            "payments.charge": "COMPENSATED",
            "shipping.ship": "REJECTED",
            "orders.close": "SKIPPED",
        },
    )


async def test_a_rejection_at_the_first_reaction_leaves_nothing_to_wait_for(
    followed: World, stage: Stage
) -> None:
    await stage.place("s-1", "reject:reserve")
    await followed.until_ended("s-1")
    state, steps = await states(followed, "s-1")
    assert (state, steps["orders.place"], steps["inventory.reserve"]) == (
        "COMPENSATED",
        "COMPENSATED",
        "REJECTED",
    )


async def test_what_a_service_cannot_deal_with_stalls_its_saga_alone(followed: World, stage: Stage) -> None:
    await stage.place("s-1", "fail:charge:1000")
    await stage.place("s-2")
    await followed.until_ended("s-2")
    await followed.until_stalled("s-1")
    saga = await followed.get("s-1")
    assert saga.needs_attention == (
        "payments could not deal with shop.v1.StockReserved: HANDLER_FAILED; see amends dead-letters list"
    )


async def test_a_saga_goes_on_to_its_end_once_what_was_dead_is_sent_again(
    followed: World, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.place("s-1", "fail:charge:1000")
    await followed.until_stalled("s-1")
    monkeypatch.setattr(stage.shop.wishes, "forward", lambda ctx, wishes: "")  # it is mended
    assert await _replay(stage.shop.bus, frozenset(), saga_id="s-1", consumer="") == 1
    await followed.until_ended("s-1")
    assert (await states(followed, "s-1"))[0] == "COMPLETED"


async def test_a_saga_goes_on_to_its_end_once_what_was_dead_is_discarded(
    followed: World, stage: Stage
) -> None:
    """What nobody will do is expected of nobody, and what waited behind it is dealt with."""
    await stage.place("s-1", "fail:charge:1000")
    await followed.until_stalled("s-1")
    count = await _discard(stage.shop.bus, frozenset(), saga_id="s-1", consumer="", reason="paid in cash")
    assert count == 1
    await followed.until_ended("s-1")
    assert (await followed.get("s-1")).needs_attention == ""
    await stage.publish(failed("s-1"))
    await stage.watch.until_told("s-1", "payments.charge buried", "inventory.reserve compensated")


async def test_a_restart_goes_on_where_it_was_on_every_bus(followed: World, stage: Stage) -> None:
    await stage.place("s-1")
    await followed.until_ended("s-1")
    before = await followed.history("s-1")
    await followed.stop()
    await stage.place("s-2", "reject:ship")
    await stage.watch.until_told("s-2", "orders.place compensated")
    await followed.start()
    await followed.until_ended("s-2")
    assert await followed.history("s-1") == before
    assert followed.tracker.counts.events == (await followed.kinds("s-2")).count("event_observed")
