"""Time without the waiting."""

import asyncio
import time

import pytest

from amends import Cause, SagaState, StepState
from amends_coordinator.testing import LocalCoordinator, StuckError
from tests.testing.kit_shop import HURRIED, INPUT, ORDER, Shop

HOUR = 3_600.0


async def test_nobody_waits_for_what_is_pending(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.pendings = 24
    began = time.monotonic()
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.completed
    assert saga.end_time is not None
    assert (saga.end_time - saga.create_time).total_seconds() == pytest.approx(24 * HOUR, abs=60.0)
    assert time.monotonic() - began < 30.0, "a day passed in less than half a minute"


async def test_p11_a_deadline_fires_at_its_time(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.pendings = 1
    saga = await coordinator.run(HURRIED, INPUT)
    assert saga.state is SagaState.COMPENSATED
    assert saga.turn_back is not None
    assert saga.turn_back.cause is Cause.DEADLINE_PASSED
    assert saga.end_time is not None
    assert saga.deadline is not None
    assert (saga.end_time - saga.deadline).total_seconds() == pytest.approx(0.0, abs=1.0)


async def test_time_stands_still_between_calls(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.pendings = 1
    saga = await coordinator.start(ORDER, INPUT)
    await coordinator.advance(1.0)
    for _ in range(1_000):
        await asyncio.sleep(0)
    step = (await coordinator.get(saga.id)).steps["ship"]
    assert step.state is StepState.TRYING
    assert step.next_attempt_time is not None
    assert "ship" not in shop.done


async def test_advancing_goes_just_so_far(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.pendings = 2
    saga = await coordinator.start(ORDER, INPUT)
    await coordinator.advance(HOUR - 60.0)
    assert shop.pendings == 1
    await coordinator.advance(120.0)
    assert shop.pendings == 0
    await coordinator.advance(HOUR)
    assert (await coordinator.get(saga.id)).completed


async def test_a_clock_survives_a_crash(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.pendings = 1
    saga = await coordinator.start(HURRIED, INPUT)
    await coordinator.advance(50.0)
    await coordinator.crash()
    await coordinator.advance(2.0)
    assert (await coordinator.get(saga.id)).state is SagaState.RUNNING
    await coordinator.advance(10.0)
    assert (await coordinator.get(saga.id)).state is SagaState.COMPENSATED


async def test_a_compensation_that_fails_asks_for_attention(
    coordinator: LocalCoordinator, shop: Shop
) -> None:
    shop.address_known, shop.refund_fails = False, True
    saga = await coordinator.start(ORDER, INPUT)
    await coordinator.advance(HOUR)
    saga = await coordinator.get(saga.id)
    assert saga.state is SagaState.COMPENSATING
    assert "charge" in saga.needs_attention
    shop.refund_fails = False
    assert (await coordinator.wait(saga.id)).state is SagaState.COMPENSATED


async def test_a_saga_without_end_fails_whoever_waits(
    coordinator: LocalCoordinator, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    shop.address_known, shop.refund_fails = False, True
    with pytest.raises(StuckError, match=r"step 'charge' is COMPENSATING, .*handler failed"):
        await coordinator.run(ORDER, INPUT)
    shop.refund_fails = False
    [stuck] = [saga async for saga in coordinator.list()]
    assert (await coordinator.wait(stuck.id)).state is SagaState.COMPENSATED


async def test_a_saga_that_sleeps_in_the_store_is_found_by_time(
    coordinator: LocalCoordinator, shop: Shop
) -> None:
    shop.pendings = 1
    saga = await coordinator.start(ORDER, INPUT)
    await coordinator.advance(1.0)
    process = coordinator.world._process
    await process._keeper._sweep()
    assert process.runtime.live(saga.id) is None
    await coordinator.advance(HOUR)
    assert (await coordinator.get(saga.id)).completed
