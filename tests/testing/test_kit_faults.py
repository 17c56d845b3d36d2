"""Faults on demand, and what the real coordinator and the real fence make of them."""

import asyncio

import grpc
import pytest

from amends import Context, Definition, Direction, Participant, SagaState, Step, StepState
from amends.errors import UsageError
from amends_coordinator.testing import LocalCoordinator
from tests.testing.kit_shop import EAGER, INPUT, ORDER, Shop

COMPLETE = ["reserve", "charge", "ship"]


@pytest.mark.parametrize("fault", ["lose_call", "lose_reply", "deliver_twice", "crash_coordinator"])
async def test_p4_a_fault_of_the_network_leaves_one_effect(
    coordinator: LocalCoordinator, shop: Shop, fault: str
) -> None:
    getattr(coordinator.faults, fault)("payments", "charge")
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.completed
    assert shop.done == COMPLETE
    assert saga.steps["charge"].attempts == (1 if fault == "deliver_twice" else 2)


@pytest.mark.parametrize("fault", ["lose_call", "lose_reply", "deliver_twice", "crash_coordinator"])
async def test_p4_a_fault_of_the_network_undoes_once(
    coordinator: LocalCoordinator, shop: Shop, fault: str
) -> None:
    shop.address_known = False
    getattr(coordinator.faults, fault)("payments", "charge", direction=Direction.BACKWARD, times=2)
    assert (await coordinator.run(ORDER, INPUT)).state is SagaState.COMPENSATED
    assert shop.done == ["reserve", "charge", "refund", "release"]


async def test_p5_a_try_that_arrives_after_its_compensation_has_no_effect(
    coordinator: LocalCoordinator, shop: Shop
) -> None:
    coordinator.faults.delay("payments", "charge", 30.0)
    saga = await coordinator.run(EAGER, INPUT)
    assert saga.state is SagaState.COMPENSATED
    await coordinator.advance(60.0)
    assert shop.done == []


async def test_a_code_that_leaves_it_open_is_tried_again(coordinator: LocalCoordinator, shop: Shop) -> None:
    coordinator.faults.fail("payments", "charge", grpc.StatusCode.UNAVAILABLE, times=3)
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.completed
    assert saga.steps["charge"].attempts == 4


async def test_a_definite_code_turns_the_saga_back(coordinator: LocalCoordinator, shop: Shop) -> None:
    coordinator.faults.fail("payments", "charge", grpc.StatusCode.PERMISSION_DENIED, "no key")
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.state is SagaState.COMPENSATED
    assert saga.turn_back is not None
    assert (saga.turn_back.reason, saga.turn_back.message) == ("PERMISSION_DENIED", "no key")
    assert shop.done == ["reserve", "release"]


async def test_faults_of_one_action_come_in_their_order(coordinator: LocalCoordinator) -> None:
    faults = coordinator.faults
    faults.lose_call("payments", "charge")
    faults.fail("payments", "charge", grpc.StatusCode.INTERNAL)
    assert repr(faults) == (
        "<Faults to come: lose_call payments.charge FORWARD x1, fail(INTERNAL) payments.charge FORWARD x1>"
    )
    saga = await coordinator.run(ORDER, INPUT)
    failure = saga.steps["charge"].last_failure
    assert failure is not None
    assert failure.code == grpc.StatusCode.INTERNAL.value[0]
    assert repr(faults) == "<Faults to come: none>"


async def test_a_fault_that_could_never_come_is_a_mistake(coordinator: LocalCoordinator) -> None:
    with pytest.raises(
        UsageError, match="no participant 'payment' to fail; there are: carrier, inventory, payments"
    ):
        coordinator.faults.lose_reply("payment", "charge")
    with pytest.raises(UsageError, match="no action 'chrage'; it has: charge"):
        coordinator.faults.lose_reply("payments", "chrage")
    with pytest.raises(UsageError, match="at least 1"):
        coordinator.faults.lose_reply("payments", "charge", times=0)


async def test_a_stopped_participant_is_one_that_is_down(shop: Shop) -> None:
    inventory, payments, shipping = shop.participants()
    async with LocalCoordinator(inventory, payments, shipping) as coordinator:
        await payments.stop()
        saga = await coordinator.start(ORDER, INPUT)
        await coordinator.advance(3.0)
        charge = (await coordinator.get(saga.id)).steps["charge"]
        assert charge.state is StepState.TRYING
        assert charge.attempts > 1
        await payments.open()
        assert (await coordinator.wait(saga.id)).completed


async def test_p1_a_crash_loses_no_saga(coordinator: LocalCoordinator, shop: Shop) -> None:
    sagas = [await coordinator.start(ORDER, INPUT) for _ in range(20)]
    await coordinator.crash()
    ended = [await coordinator.wait(saga.id) for saga in sagas]
    assert all(saga.completed for saga in ended)
    assert sorted(shop.done) == sorted(COMPLETE * 20)


async def test_a_crash_interrupts_what_a_handler_is_at() -> None:
    """Its effect stands, its reply is lost, and the next coordinator asks again."""
    entered, leave, done = asyncio.Event(), asyncio.Event(), []
    participant = Participant("p", store="memory:")

    @participant.action(external=True)
    async def act(_input: None, ctx: Context) -> None:
        entered.set()
        await leave.wait()
        done.append(ctx.attempt)

    @act.compensate
    async def undo(_input: None, _result: None, ctx: Context) -> None:
        done.append(-ctx.attempt)

    async with LocalCoordinator(participant) as coordinator:
        run = asyncio.create_task(coordinator.run(Definition("d", [Step("act", "p", "act")])))
        await entered.wait()
        await coordinator.crash()
        leave.set()
        assert (await run).completed
    assert done == [1]


async def test_crashes_at_every_call_lose_nothing(coordinator: LocalCoordinator, shop: Shop) -> None:
    shop.address_known = False
    for participant, action in (("inventory", "reserve"), ("payments", "charge"), ("shipping", "ship")):
        coordinator.faults.crash_coordinator(participant, action)
        coordinator.faults.crash_coordinator(participant, action, direction=Direction.BACKWARD)
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.state is SagaState.COMPENSATED
    assert shop.done == ["reserve", "charge", "refund", "release"]


async def test_a_call_that_no_message_can_carry_is_rejected() -> None:
    """As it is over the network: results of a megabyte each add up."""
    participant = Participant("p", store="memory:")

    @participant.action
    def bring(_input: str, ctx: Context) -> str:
        return "x" * 1_000_000

    big = [Step(f"big{number}", "p", "bring", needs=[], effect_free=True) for number in range(4)]
    last = Step("last", "p", "bring", needs=[step.name for step in big], effect_free=True)
    async with LocalCoordinator(participant) as coordinator:
        saga = await coordinator.run(Definition("d", [*big, last]), "y" * 500_000)
    assert saga.turn_back is not None
    assert saga.turn_back.reason == "CALL_TOO_LARGE"
