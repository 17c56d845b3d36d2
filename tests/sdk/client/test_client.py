"""What a client asks of a coordinator, and what it makes of the answers."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime

import pytest

import amends
from amends import (
    Client,
    Definition,
    EventKind,
    MethodCall,
    OutcomeRule,
    Resolution,
    SagaState,
    Step,
    StepState,
)
from amends._payload import pack, unpack
from amends.v1 import event_pb2, participant_pb2, saga_pb2
from tests.sdk.client.fake_coordinator import FakeCoordinator


@dataclass
class Charge:
    id: str
    amount: int


async def test_start_returns_the_saga_as_accepted(client: Client, order: Definition) -> None:
    """A start answers with the running saga: its id, definition, labels and waiting steps."""
    saga = await client.start(order, {"amount": 12}, saga_id="order-1", labels={"shop": "7"})
    assert (saga.id, saga.state, saga.definition.name, dict(saga.labels)) == (
        "order-1",
        SagaState.RUNNING,
        "order",
        {"shop": "7"},
    )
    assert [run.state for run in saga.steps.values()] == [StepState.WAITING, StepState.WAITING]


async def test_client_makes_a_uuid7_where_no_id_is_given(client: Client, order: Definition) -> None:
    """Without an id the client makes one, so that it can repeat the start."""
    saga = await client.start(order)
    assert uuid.UUID(saga.id).version == 7


async def test_p10_same_start_same_saga(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Starting an id again with the same content returns that saga; with other content it is an error."""
    first = await client.start(order, {"amount": 12}, saga_id="order-1")
    again = await client.start(order, {"amount": 12}, saga_id="order-1")
    assert again == first
    with pytest.raises(amends.AlreadyExists) as caught:
        await client.start(order, {"amount": 13}, saga_id="order-1")
    assert caught.value.reason == "SAGA_EXISTS"
    assert len(coordinator.sagas) == 1


async def test_an_empty_id_is_refused_before_anything_is_sent(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """An empty id would have the coordinator make one, and a repetition would start another saga."""
    with pytest.raises(ValueError, match="leave it out"):
        await client.start(order, saga_id="")
    assert coordinator.calls == []


async def test_registered_definition_is_started_by_name(client: Client, order: Definition) -> None:
    """A name stands for the newest version registered under it."""
    registered = await client.register(order)
    saga = await client.start("order")
    assert (registered.version, saga.definition.version) == (1, 1)


async def test_definitions_can_be_registered_read_and_listed(client: Client, order: Definition) -> None:
    """Other content becomes the next version; the list has the newest of each, over all pages."""
    await client.register(order)
    assert (await client.register(order)).version == 1
    changed = Definition("order", order.steps, timeout=60)
    assert (await client.register(changed)).version == 2
    await client.register(Definition("booking", order.steps))
    assert (await client.definition("order", version=1)).timeout is None
    assert (await client.definition("order")).timeout == 60
    assert [(found.name, found.version) async for found in client.definitions()] == [
        ("booking", 1),
        ("order", 2),
    ]


async def test_what_steps_call_comes_back_with_a_saga(client: Client) -> None:
    """Methods, rules, descriptors and the type of the input; of a step's own input only the payload."""
    parcel = Definition(
        "parcel",
        [
            Step(
                "book",
                "carrier",
                try_method="acme.v1.Carrier/Book",
                compensate_method=MethodCall("acme.v1.Carrier/Cancel", "CancelRequest{id: response.id}"),
                compensate_outcomes=[OutcomeRule("NOT_FOUND", "succeeded")],
                input_from=lambda order: {"address": order["home"]},
            )
        ],
        input_type="google.protobuf.Struct",
        descriptors=[participant_pb2],
    )
    started = await client.start(parcel, {"home": "Delft"})
    assert (await client.get(started.id)).definition == parcel
    assert unpack(started.proto.step_inputs["book"], dict) == {"address": "Delft"}
    assert await client.register(parcel) == await client.definition("parcel") == parcel


async def test_unregistered_name_is_not_found(client: Client) -> None:
    """NOT_FOUND arrives with its reason and metadata."""
    with pytest.raises(amends.NotFound, match="there is no definition 'order'") as caught:
        await client.start("order")
    assert (caught.value.reason, dict(caught.value.metadata)) == (
        "NO_SUCH_DEFINITION",
        {"told": "by the fake"},
    )


async def test_field_violations_are_in_the_error_and_its_message(client: Client, order: Definition) -> None:
    """INVALID_ARGUMENT names each field, for programs and for people."""
    malformed = Definition.from_proto(saga_pb2.Definition(name="order"))
    with pytest.raises(amends.InvalidArgument, match=r"definition\.steps: has 0 steps") as caught:
        await client.start(malformed)
    assert [violation.field for violation in caught.value.violations] == ["definition.steps"]


async def test_run_waits_for_the_end_and_gives_typed_results(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Run returns the ended saga, whose results come out as what the caller says they are."""
    running = asyncio.create_task(client.run(order, saga_id="order-1"))
    await coordinator.called("StartSaga")
    result = event_pb2.StepSucceeded(step="charge", attempt=1, result=pack(Charge("c-1", 12)))
    await coordinator.append("order-1", step_succeeded=result)
    await coordinator.complete("order-1")
    saga = await running
    assert saga.completed
    assert saga.result("charge", Charge) == Charge("c-1", 12)
    assert saga.result("charge") == {"id": "c-1", "amount": 12}
    assert saga.result("reserve") is None
    with pytest.raises(KeyError):
        saga.result("ship")


async def test_run_returns_a_parked_saga(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """A parked saga waits for an operator, so nobody waits for the saga."""
    running = asyncio.create_task(client.run(order, saga_id="order-1"))
    await coordinator.called("StartSaga")
    await coordinator.append("order-1", saga_parked=event_pb2.SagaParked(message="stuck"))
    assert (await running).state is SagaState.PARKED


async def test_run_goes_on_by_watching_after_the_first_poll(
    client: Client, coordinator: FakeCoordinator, order: Definition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saga that outlasts the wait of its start is followed to its end."""
    monkeypatch.setattr("amends._client._client.POLL", 0.01)
    running = asyncio.create_task(client.run(order, saga_id="order-1"))
    await coordinator.called("WatchSaga")
    await coordinator.complete("order-1")
    assert (await running).completed


async def test_wait_says_when_its_time_is_over(client: Client, order: Definition) -> None:
    """A wait that ran out is a TimeoutError that knows the saga; the saga goes on."""
    await client.start(order, saga_id="order-1")
    with pytest.raises(amends.NotSettled, match="order-1") as caught:
        await client.wait("order-1", timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.saga_id == "order-1"
    assert (await client.get("order-1")).state is SagaState.RUNNING


async def test_wait_returns_at_once_for_an_ended_saga(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """An ended saga needs no watching."""
    coordinator.auto_complete = True
    await client.start(order, saga_id="order-1")
    assert (await client.wait("order-1")).completed
    assert "WatchSaga" not in coordinator.calls


async def test_wait_does_not_stop_at_a_park_that_is_over(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """A saga that was parked and then retried is waited for until it settles again."""
    await client.start(order, saga_id="order-1")
    waiting = asyncio.create_task(client.wait("order-1"))
    await coordinator.called("WatchSaga")
    saga = coordinator.sagas["order-1"]
    parked = event_pb2.Event(saga_id="order-1", sequence=2)
    parked.saga_parked.message = "stuck"
    coordinator.events["order-1"].append(parked)  # told to watchers once the saga is on its way again
    saga.sequence = 2
    await coordinator.append("order-1", saga_retried=event_pb2.SagaRetried())
    await coordinator.complete("order-1")
    assert (await waiting).state is SagaState.COMPLETED


async def test_watch_yields_every_event_until_the_end(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """The events so far come first, then each as it happens; the last one ends the iteration."""
    await client.start(order, saga_id="order-1")
    kinds = []
    async for event in client.watch("order-1"):
        kinds.append((event.sequence, event.kind))
        if event.kind is EventKind.SAGA_STARTED:
            await coordinator.append("order-1", step_succeeded=event_pb2.StepSucceeded(step="reserve"))
            await coordinator.complete("order-1")
    assert kinds == [
        (1, EventKind.SAGA_STARTED),
        (2, EventKind.STEP_SUCCEEDED),
        (3, EventKind.SAGA_COMPLETED),
    ]


async def test_watch_after_the_last_event_ends(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Who has seen the end is told nothing more."""
    coordinator.auto_complete = True
    saga = await client.start(order, saga_id="order-1")
    assert [event async for event in client.watch("order-1", after=saga.sequence)] == []


async def test_watch_of_no_saga_is_not_found(client: Client) -> None:
    """A watch fails for an id that is nobody's."""
    with pytest.raises(amends.NotFound):
        await anext(client.watch("nobody"))


async def test_history_is_what_happened_so_far(client: Client, order: Definition) -> None:
    """History returns at once, although the saga goes on."""
    await client.start(order, saga_id="order-1")
    assert [event.kind for event in await client.history("order-1")] == [EventKind.SAGA_STARTED]
    assert await client.history("order-1", after=1) == ()


async def test_list_walks_all_pages_and_filters(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """A list is one iteration over any number of pages, the newest first."""
    for number in range(5):
        await client.start(order, saga_id=f"order-{number}", labels={"even": str(number % 2 == 0)})
    await coordinator.complete("order-4")
    assert [saga.id async for saga in client.list()] == [f"order-{number}" for number in (4, 3, 2, 1, 0)]
    running = client.list(states=["RUNNING"], definition="order", labels={"even": "True"})
    assert [saga.id async for saga in running] == ["order-2", "order-0"]


async def test_list_refuses_what_it_cannot_mean(client: Client) -> None:
    """An unknown state and a time without its zone are refused here, before they select too much."""
    with pytest.raises(ValueError, match="GONE"):
        await anext(aiter(client.list(states=["GONE"])))
    with pytest.raises(ValueError, match="no time zone"):
        await anext(aiter(client.list(created_from=datetime(2024, 1, 1))))  # noqa: DTZ001 # on purpose


async def test_cancel_turns_a_saga_back(client: Client, order: Definition) -> None:
    """A cancelled saga says that it was cancelled, and why."""
    await client.start(order, saga_id="order-1")
    saga = await client.cancel("order-1", reason="customer left")
    assert saga.state is SagaState.COMPENSATING
    assert saga.turn_back is not None
    assert (saga.turn_back.cause, saga.turn_back.message) == (amends.Cause.CANCELLED, "customer left")


async def test_cancel_after_the_end_fails(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """What is completed cannot be cancelled."""
    coordinator.auto_complete = True
    await client.start(order, saga_id="order-1")
    with pytest.raises(amends.FailedPrecondition):
        await client.cancel("order-1")


async def test_retry_and_resolve_are_in_the_log(client: Client, order: Definition) -> None:
    """An operator's wishes reach the coordinator with their reasons."""
    await client.start(order, saga_id="order-1")
    await client.retry("order-1", reason="payments is back")
    await client.resolve(
        "order-1", "charge", Resolution.SUCCEEDED, reason="bank says so", result=Charge("c-1", 12)
    )
    _, retried, resolved = (event.proto for event in await client.history("order-1"))
    assert retried.saga_retried.reason == "payments is back"
    assert resolved.step_resolved == event_pb2.StepResolved(
        step="charge",
        resolution=event_pb2.StepResolved.SUCCEEDED,
        reason="bank says so",
        result=pack(Charge("c-1", 12)),
    )


async def test_a_closed_client_says_so(client: Client) -> None:
    """A call of a closed client fails with what is wrong, and closing again does nothing."""
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.get("order-1")


async def test_values_introduce_themselves(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Reprs tell where things are, and no payloads."""
    await client.start(order, {"card": "secret"}, saga_id="order-1")
    saga = await client.cancel("order-1")
    (summary,) = [summary async for summary in client.list()]
    event = (await client.history("order-1"))[0]
    assert repr(client).startswith("Client('127.0.0.1:")
    assert repr(saga) == "Saga('order-1', 'order', COMPENSATING: reserve WAITING, charge WAITING)"
    assert repr(saga.turn_back) == "TurnBack(CANCELLED, reason='CANCELLED')"
    assert repr(saga.steps["charge"]) == "StepRun('charge', WAITING, attempts=0)"
    assert repr(summary) == "SagaSummary('order-1', 'order', COMPENSATING)"
    assert repr(event) == "Event(1, SAGA_STARTED)"
