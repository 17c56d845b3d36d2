"""Whole sagas in one process: what they come to, and what an operator can do."""

import asyncio
from pathlib import Path

import pytest

from amends import (
    Cause,
    Context,
    Definition,
    EventKind,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Participant,
    SagaState,
    Step,
    StepState,
)
from amends.errors import UsageError
from amends_coordinator.runtime.journal import Journal
from amends_coordinator.testing import LocalCoordinator
from tests.testing.kit_shop import DECIDED, INPUT, ORDER, Shop


async def test_a_saga_completes(coordinator: LocalCoordinator, shop: Shop) -> None:
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.state is SagaState.COMPLETED
    assert saga.result("reserve", str) == "reservation of tea"
    assert shop.done == ["reserve", "charge", "ship"]


async def test_p6_a_refused_saga_is_compensated_in_reverse(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.address_known = False
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.state is SagaState.COMPENSATED
    assert saga.turn_back is not None
    assert saga.turn_back.reason == "ADDRESS_UNKNOWN"
    assert shop.done == ["reserve", "charge", "refund", "release"]


async def test_p12_a_refused_compensation_parks_the_saga_until_it_is_resolved(
    coordinator: LocalCoordinator, shop: Shop
) -> None:
    shop.address_known = shop.refundable = False
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.state is SagaState.PARKED
    assert saga.steps["charge"].state is StepState.REFUSED
    await coordinator.resolve(saga.id, "charge", "COMPENSATED", reason="paid back in cash")
    assert (await coordinator.wait(saga.id)).state is SagaState.COMPENSATED


async def test_a_parked_saga_goes_on_when_it_is_retried(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.address_known = False
    saga = await coordinator.run(DECIDED, INPUT)
    assert saga.state is SagaState.PARKED
    shop.address_known = True
    await coordinator.retry(saga.id, reason="the address was found")
    # The participant's fence remembers the rejection, so a person has to say what is true.
    saga = await coordinator.wait(saga.id)
    assert saga.state is SagaState.PARKED
    await coordinator.resolve(saga.id, "ship", "SUCCEEDED", reason="sent by hand", result="parcel 7")
    saga = await coordinator.wait(saga.id)
    assert saga.state is SagaState.COMPLETED
    assert saga.result("ship", str) == "parcel 7"


async def test_a_saga_can_be_cancelled_while_it_waits(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.pendings = 1_000_000
    saga = await coordinator.start(ORDER, INPUT)
    await coordinator.advance(2 * 3_600)
    await coordinator.cancel(saga.id, reason="changed their mind")
    saga = await coordinator.wait(saga.id)
    assert saga.state is SagaState.COMPENSATED
    assert saga.turn_back is not None
    assert saga.turn_back.cause is Cause.CANCELLED
    with pytest.raises(NotFound):
        await coordinator.cancel("another")


async def test_events_are_watched_as_they_happen(coordinator: LocalCoordinator) -> None:
    saga = await coordinator.start(ORDER, INPUT)
    kinds = [event.kind async for event in coordinator.watch(saga.id)]
    assert kinds == [EventKind.SAGA_STARTED, *[EventKind.STEP_SUCCEEDED] * 3, EventKind.SAGA_COMPLETED]
    assert [event.kind for event in await coordinator.history(saga.id)] == kinds
    with pytest.raises(FailedPrecondition):
        await coordinator.cancel(saga.id)


async def test_sagas_run_by_the_name_of_a_definition_and_are_listed(coordinator: LocalCoordinator) -> None:
    await coordinator.register(ORDER)
    saga = await coordinator.run("order", INPUT, labels={"customer": "ada"})
    assert [found.id async for found in coordinator.list(labels={"customer": "ada"})] == [saga.id]


async def test_a_starter_starts_many(coordinator: LocalCoordinator, shop: Shop) -> None:
    async with coordinator.starter() as starter:
        started = [await starter.start(ORDER, INPUT, wait=5.0) for _ in range(10)]
    assert {each.state for each in started} == {SagaState.COMPLETED}
    assert shop.done.count("charge") == 10


async def test_a_definition_is_checked_against_the_participants(coordinator: LocalCoordinator) -> None:
    with pytest.raises(InvalidArgument, match="known participants: carrier, inventory, payments"):
        await coordinator.start(Definition("d", [Step("a", "nobody", "act")]))
    with pytest.raises(InvalidArgument, match="it offers: charge"):
        await coordinator.start(Definition("d", [Step("a", "payments", "chrage")]))


async def test_p10_the_same_start_is_the_same_saga(coordinator: LocalCoordinator, shop: Shop) -> None:
    first = await coordinator.run(ORDER, INPUT, saga_id="s-1")
    assert (await coordinator.run(ORDER, INPUT, saga_id="s-1")).sequence == first.sequence
    assert shop.done.count("charge") == 1


async def test_participants_may_keep_files(shop: Shop, tmp_path: Path) -> None:
    """Effects are then real rows, and a duplicate leaves one."""
    async with LocalCoordinator(*shop.participants(f"sqlite:///{tmp_path}/payments.db")) as coordinator:
        coordinator.faults.deliver_twice("payments", "charge")
        assert (await coordinator.run(ORDER, INPUT)).completed
        assert shop.done.count("charge") == 1


async def test_it_must_be_entered(shop: Shop) -> None:
    coordinator = LocalCoordinator(*shop.participants())
    assert repr(coordinator) == "LocalCoordinator(inventory, payments, shipping)"
    with pytest.raises(UsageError, match="enter it with"):
        await coordinator.get("s")


async def test_two_participants_of_one_name_are_a_mistake(shop: Shop) -> None:
    with pytest.raises(UsageError, match="two participants 'payments'"):
        LocalCoordinator(shop.payments(), shop.payments())


async def test_a_participant_that_is_open_already_is_a_mistake(shop: Shop) -> None:
    """And those that were opened before it are closed again."""
    inventory, payments, _ = shop.participants()
    async with payments:
        with pytest.raises(UsageError, match="'payments' is open already"):
            await LocalCoordinator(inventory, payments).__aenter__()
    assert "closed" in repr(inventory)


async def test_leaving_in_the_middle_of_a_saga_is_clean(shop: Shop) -> None:
    shop.pendings = 1
    async with LocalCoordinator(*shop.participants()) as coordinator:
        coordinator.faults.delay("payments", "charge", 5.0)
        await coordinator.start(ORDER, INPUT)
        await coordinator.advance(1.0)
    assert shop.done == ["reserve"]


async def test_leaving_waits_for_what_a_participant_is_at() -> None:
    entered, leave, done = asyncio.Event(), asyncio.Event(), []
    participant = Participant("p", store="memory:")

    @participant.action(external=True)
    async def act(_input: None, ctx: Context) -> None:
        entered.set()
        await leave.wait()
        done.append(ctx.saga_id)

    coordinator = await LocalCoordinator(participant).__aenter__()
    coordinator.faults.crash_coordinator("p", "act")  # which comes too late to matter
    await coordinator.start(Definition("d", [Step("act", "p", "act", effect_free=True)]))
    await entered.wait()
    closing = asyncio.create_task(coordinator.close())
    await asyncio.sleep(0)
    leave.set()
    await closing
    assert len(done) == 1


async def test_a_parked_saga_can_be_watched_until_somebody_resolves_it(
    coordinator: LocalCoordinator, shop: Shop
) -> None:
    shop.address_known = shop.refundable = False
    saga = await coordinator.run(ORDER, INPUT)
    watching = asyncio.create_task(_kinds(coordinator, saga.id))
    for _ in range(100):
        await asyncio.sleep(0)
    await coordinator.resolve(saga.id, "charge", "COMPENSATED", reason="paid back in cash")
    assert (await watching)[-1] is EventKind.SAGA_COMPENSATED


async def _kinds(coordinator: LocalCoordinator, saga_id: str) -> list[EventKind]:
    return [event.kind async for event in coordinator.watch(saga_id)]


async def test_a_mistake_of_ours_fails_the_test(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both whoever waits and whoever leaves; and the participants are closed all the same."""

    def fail(_journal: Journal) -> None:
        raise ZeroDivisionError

    participants = shop.participants()
    coordinator = await LocalCoordinator(*participants).__aenter__()
    monkeypatch.setattr(Journal, "_take", fail)
    with pytest.raises(ZeroDivisionError):
        await coordinator.start(ORDER, INPUT)
    with pytest.raises(ZeroDivisionError):
        await coordinator.close()
    assert all("closed" in repr(participant) for participant in participants)


def test_the_package_has_no_other_names() -> None:
    import amends_coordinator.testing as kit

    assert all(getattr(kit, name).__name__ == name for name in kit.__all__)
    assert not hasattr(kit, "Coordinator")
