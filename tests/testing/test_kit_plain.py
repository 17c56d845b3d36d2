"""Steps that call methods of a service which knows nothing of Amends, in the process of the test."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.rpc.code_pb2 import Code
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from amends import Definition, Direction, MethodCall, OutcomeRule, SagaState, Step
from amends.errors import InvalidArgument, UsageError
from amends_coordinator.bindings.checking import Checker
from amends_coordinator.core.checks import Violation
from amends_coordinator.testing import BlockingLocalCoordinator, LocalCoordinator, PlainService
from sample_services.carrier import ledger
from sample_services.carrier.carrier_pb2 import Booking, BookRequest
from sample_services.carrier.carrier_pb2_grpc import CarrierServicer, add_CarrierServicer_to_server
from sample_services.carrier.service import CarrierService
from tests.testing.kit_carrier import BOOK, CANCEL, INPUT, ONCE, ORDER, Carrier, Context, parcel, shipment
from tests.testing.kit_shop import Shop

# Sagas


async def test_a_saga_crosses_participants_and_plain_services(
    coordinator: LocalCoordinator, shop: Shop, carrier: Carrier
) -> None:
    saga = await coordinator.run(ORDER, INPUT, saga_id="s-1")
    assert saga.completed
    assert shop.done == ["charge"]
    assert carrier.bookings == {"s-1/ship": Booking(booking_id="for s-1", price_cents=495)}
    assert saga.definition.descriptors is not None, "they are found without reflection"


async def test_it_is_compensated_from_what_the_service_answered(
    coordinator: LocalCoordinator, shop: Shop, carrier: Carrier
) -> None:
    shop.funds = False
    saga = await coordinator.run(ORDER, INPUT, saga_id="s-1")
    assert saga.state is SagaState.COMPENSATED
    assert carrier.cancelled == ["for s-1"]


async def test_a_method_is_told_of_the_saga_by_metadata(
    coordinator: LocalCoordinator, shop: Shop, carrier: Carrier
) -> None:
    """Each attempt has its number, and the key of its direction."""
    shop.funds = False
    coordinator.faults.lose_reply("carrier", "Book")
    await coordinator.run(ORDER, INPUT, saga_id="s-1")
    common = {"amends-saga-id": "s-1", "amends-step": "ship"}
    forward = {**common, "amends-direction": "forward", "idempotency-key": "s-1/ship"}
    backward = {**common, "amends-direction": "backward", "idempotency-key": "s-1/ship/compensate"}
    assert carrier.calls == [
        ("Book", {**forward, "amends-attempt": "1"}),
        ("Book", {**forward, "amends-attempt": "2"}),
        ("CancelBooking", {**backward, "amends-attempt": "1"}),
    ]


async def test_a_service_of_plain_functions_runs_in_threads(shop: Shop, tmp_path: Path) -> None:
    """The sample, with its ledger in a real file: nothing of it knows that no server is around it."""
    path = tmp_path / "carrier.db"
    ledger.make(path)
    service = PlainService("carrier").add(add_CarrierServicer_to_server, CarrierService(path))
    async with LocalCoordinator(shop.payments(), service) as coordinator:
        coordinator.faults.lose_reply("carrier", "Book")
        coordinator.faults.deliver_twice("carrier", "CancelBooking")
        shop.funds = False
        assert (await coordinator.run(ORDER, INPUT)).state is SagaState.COMPENSATED
        saga = await coordinator.run(parcel(), {"address": "Main Street 1, Springfield, US"})
    assert saga.turn_back is not None
    assert (saga.turn_back.reason, saga.turn_back.message) == ("FAILED_PRECONDITION", "no parcel goes to US")
    (entry,) = ledger.read(path)
    assert entry.cancelled


def test_a_blocking_coordinator_takes_plain_services_too(tmp_path: Path) -> None:
    """And leaves no thread of theirs behind."""
    before = set(threading.enumerate())
    path = tmp_path / "carrier.db"
    ledger.make(path)
    service = PlainService("carrier").add(add_CarrierServicer_to_server, CarrierService(path))
    with BlockingLocalCoordinator(service) as coordinator:
        assert coordinator.run(parcel(), INPUT).completed
    assert set(threading.enumerate()) <= before


# Faults


async def test_a_lost_reply_is_asked_for_again_by_the_same_key(
    coordinator: LocalCoordinator, carrier: Carrier
) -> None:
    coordinator.faults.lose_reply("carrier", "Book")
    saga = await coordinator.run(parcel(), INPUT)
    assert saga.steps["ship"].attempts == 2
    assert [method for method, _ in carrier.calls] == ["Book", "Book"]
    assert len(carrier.bookings) == 1


async def test_a_lost_call_never_arrives(coordinator: LocalCoordinator, carrier: Carrier) -> None:
    coordinator.faults.lose_call("carrier", BOOK, times=2)
    saga = await coordinator.run(parcel(), INPUT)
    assert saga.steps["ship"].attempts == 3
    assert [metadata["amends-attempt"] for _, metadata in carrier.calls] == ["3"]


async def test_a_call_may_arrive_twice_at_once(coordinator: LocalCoordinator, carrier: Carrier) -> None:
    both = asyncio.Barrier(2)

    async def meet(_context: Context) -> Booking:
        await both.wait()
        return Booking()

    carrier.answer = meet
    coordinator.faults.deliver_twice("carrier", "Book")
    assert (await coordinator.run(parcel(), INPUT)).completed
    assert len(carrier.calls) == 2


async def test_a_try_may_arrive_after_its_compensate(
    coordinator: LocalCoordinator, shop: Shop, carrier: Carrier
) -> None:
    """The case that a service without a fence has to think of: nothing keeps the late one out."""
    undone = MethodCall(CANCEL, "CancelBookingRequest{booking_id: responded ? response.booking_id : saga.id}")
    step = Step("ship", "carrier", try_method=shipment().try_method, compensate_method=undone, **ONCE)
    coordinator.faults.delay("carrier", "Book", 60.0)
    saga = await coordinator.run(Definition("parcel", [step]), INPUT, saga_id="s-1")
    assert saga.state is SagaState.COMPENSATED
    assert carrier.cancelled == ["s-1"]
    await coordinator.advance(60.0)
    assert [method for method, _ in carrier.calls] == ["CancelBooking", "Book"]


async def test_a_fault_befalls_a_method_whichever_way_it_is_called(
    coordinator: LocalCoordinator, shop: Shop, carrier: Carrier
) -> None:
    """Unless a direction is given; it is listed until then."""
    shop.funds = False
    coordinator.faults.fail("carrier", "CancelBooking", grpc.StatusCode.UNAVAILABLE)
    coordinator.faults.lose_call("carrier", "CancelBooking", direction=Direction.FORWARD)
    assert repr(coordinator.faults) == (
        f"<Faults to come: fail(UNAVAILABLE) carrier.{CANCEL} x1, lose_call carrier.{CANCEL} FORWARD x1>"
    )
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.steps["ship"].compensation_attempts == 2
    assert repr(coordinator.faults) == f"<Faults to come: lose_call carrier.{CANCEL} FORWARD x1>"


async def test_a_crash_at_a_method_loses_nothing(
    coordinator: LocalCoordinator, shop: Shop, carrier: Carrier
) -> None:
    shop.funds = False
    coordinator.faults.crash_coordinator("carrier", "Book")
    coordinator.faults.crash_coordinator("carrier", "CancelBooking")
    saga = await coordinator.run(ORDER, INPUT)
    assert saga.state is SagaState.COMPENSATED
    assert len(carrier.bookings) == 1


async def test_a_stopped_service_is_one_that_is_down(shop: Shop, carrier: Carrier) -> None:
    service = carrier.service()
    assert repr(service) == "<PlainService carrier closed>"
    async with LocalCoordinator(service) as coordinator:
        assert repr(service) == "<PlainService carrier open>"
        await service.stop()
        saga = await coordinator.start(parcel(), INPUT)
        await coordinator.advance(3.0)
        failure = (await coordinator.get(saga.id)).steps["ship"].last_failure
        assert failure is not None
        assert (failure.code, failure.message) == (Code.UNAVAILABLE, "carrier is stopped")
        await service.open()
        assert (await coordinator.wait(saga.id)).completed


# Time


async def test_nobody_waits_for_what_is_pending(coordinator: LocalCoordinator, carrier: Carrier) -> None:
    """The clock of the coordinator jumps over days, as it does with participants."""
    asked = 0

    async def busy(context: Context) -> Booking:
        nonlocal asked
        asked += 1
        if asked <= 3:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "come back later")
        return Booking()

    carrier.answer = busy
    saga = await coordinator.run(parcel(OutcomeRule("RESOURCE_EXHAUSTED", "pending")), INPUT)
    assert saga.completed
    assert saga.end_time is not None
    assert (saga.end_time - saga.create_time).total_seconds() >= 3


async def test_the_clock_waits_for_a_method_that_is_at_work(shop: Shop) -> None:
    """Also for one in a thread: what takes real time is given it, and no time limit passes meanwhile."""
    entered, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(CarrierServicer):
        def Book(self, request: BookRequest, context: grpc.ServicerContext) -> Booking:
            loop.call_soon_threadsafe(entered.set)
            assert leave.wait(20)
            return Booking()

    service = PlainService("carrier").add(add_CarrierServicer_to_server, Slow())
    async with LocalCoordinator(service) as coordinator:
        run = asyncio.create_task(coordinator.run(parcel(timeout=60.0), INPUT))
        await entered.wait()
        for _ in range(1_000):
            await asyncio.sleep(0)
        leave.set()
        saga = await run
    assert saga.completed
    assert saga.steps["ship"].attempts == 1


async def test_the_clock_waits_while_a_definition_is_looked_at(
    coordinator: LocalCoordinator, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread does that, in real time; nothing falls due meanwhile for the sagas that wait."""
    entered, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def find_slowly(_checker: Checker, _place: int) -> list[Violation]:
        loop.call_soon_threadsafe(entered.set)
        assert leave.wait(20)
        return []

    async def busy(context: Context) -> None:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "come back later")

    carrier.answer = busy
    await coordinator.start(parcel(OutcomeRule("RESOURCE_EXHAUSTED", "pending")), INPUT)
    await coordinator.advance(0.0)
    monkeypatch.setattr(Checker, "step_faults", find_slowly)
    registering = asyncio.create_task(coordinator.register(ORDER))
    await entered.wait()
    before = len(carrier.calls)
    for _ in range(1_000):
        await asyncio.sleep(0)
    assert len(carrier.calls) == before
    leave.set()
    await registering


# Mistakes


def method(path: str, request: str = "") -> Definition:
    return Definition("d", [Step("s", "carrier", effect_free=True, try_method=MethodCall(path, request))])


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (method("acme.carrier.v1.Carrier/Bok"), "has: Book, CancelBooking"),
        (method(BOOK, "BookRequest{adress: input.address}"), "steps\\[0\\].try_method.request.*adress"),
        (method(BOOK, "BookRequest{"), "steps\\[0\\].try_method.request.*line 1"),
        (method("grpc.health.v1.Health/Check"), "grpc.health.v1.Health"),
    ],
    ids=["no such method", "no such field", "no expression", "a service of somebody else"],
)
async def test_a_definition_is_checked_as_by_a_daemon(
    coordinator: LocalCoordinator, definition: Definition, said: str
) -> None:
    with pytest.raises(InvalidArgument, match=said):
        await coordinator.run(definition, INPUT)


async def test_a_participant_has_no_methods_and_a_plain_service_no_actions(
    coordinator: LocalCoordinator,
) -> None:
    wrong = Step("s", "payments", effect_free=True, try_method=MethodCall(BOOK, "BookRequest{}"))
    for definition, said in (
        (Definition("d", [wrong]), "payments is a participant with actions, which has no plain methods"),
        (Definition("d", [Step("s", "carrier", "book")]), "carrier is a plain service, which has no actions"),
    ):
        saga = await coordinator.run(definition, INPUT)
        assert saga.turn_back is not None
        assert (saga.turn_back.reason, saga.turn_back.message) == ("UNIMPLEMENTED", said)


async def test_a_method_that_streams_is_refused() -> None:
    service = PlainService("carrier").add(
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
        reflection_pb2_grpc.ServerReflectionServicer(),
    )
    async with LocalCoordinator(service) as coordinator:
        with pytest.raises(InvalidArgument, match="which streams"):
            await coordinator.run(
                method("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"), INPUT
            )


async def test_descriptors_that_know_more_than_the_service_help_nobody(coordinator: LocalCoordinator) -> None:
    """What it does not serve is unimplemented, as over the network."""
    files = descriptor_pb2.FileDescriptorSet()
    health_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    check = MethodCall("grpc.health.v1.Health/Check", "HealthCheckRequest{}")
    definition = Definition(
        "d", [Step("s", "carrier", effect_free=True, try_method=check)], descriptors=files
    )
    saga = await coordinator.run(definition, INPUT)
    assert saga.turn_back is not None
    assert "carrier has no unary method grpc.health.v1.Health/Check" in saga.turn_back.message


def test_several_services_may_share_an_address(carrier: Carrier) -> None:
    service = carrier.service().add(
        health_pb2_grpc.add_HealthServicer_to_server, health_pb2_grpc.HealthServicer()
    )
    assert service.methods == [
        BOOK,
        CANCEL,
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/List",
        "grpc.health.v1.Health/Watch",
    ]


async def test_methods_may_be_registered_by_hand() -> None:
    """Some of a service's, and by any function: what is not there is unimplemented."""

    async def book(request: BookRequest, _context: Context) -> Booking:
        return Booking(booking_id=request.address)

    def add(_servicer: Any, server: Any) -> None:
        handler = grpc.unary_unary_rpc_method_handler(book, BookRequest.FromString, Booking.SerializeToString)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("acme.carrier.v1.Carrier", {"Book": handler}),)
        )

    service = PlainService("carrier").add(add, object())
    assert service.methods == [BOOK]
    async with LocalCoordinator(service) as coordinator:
        assert (await coordinator.run(parcel(), INPUT)).completed


async def test_the_input_may_be_the_message_that_a_method_takes(coordinator: LocalCoordinator) -> None:
    """Then there is nothing to say of how the request is made."""
    step = Step("ship", "carrier", effect_free=True, try_method=BOOK)
    definition = Definition("parcel", [step], input_type=BookRequest)
    saga = await coordinator.run(definition, BookRequest(order_ref="o-1"))
    assert saga.steps["ship"].result(Booking).booking_id == "for o-1"


def test_a_service_is_added_once(carrier: Carrier) -> None:
    with pytest.raises(UsageError, match=r"'carrier' has a servicer of acme\.carrier\.v1\.Carrier already"):
        carrier.service().add(add_CarrierServicer_to_server, carrier)


def test_what_adds_no_service_is_a_mistake(carrier: Carrier) -> None:
    with pytest.raises(UsageError, match="added no service: give the function add_"):
        PlainService("carrier").add(lambda _servicer, _server: None, carrier)


def test_a_service_without_generated_messages_is_a_mistake() -> None:
    """Nobody could say of what types its methods are."""

    def add(_servicer: Any, server: Any) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("by.Hand", {}),))

    with pytest.raises(UsageError, match=r"the messages of by\.Hand are unknown"):
        PlainService("carrier").add(add, object())


async def test_a_service_is_in_one_coordinator_at_a_time(carrier: Carrier) -> None:
    service = carrier.service()
    async with LocalCoordinator(service):
        with pytest.raises(UsageError, match="plain service 'carrier' is open already"):
            async with LocalCoordinator(service):
                pass


async def test_a_fault_that_could_never_come_is_a_mistake(shop: Shop, carrier: Carrier) -> None:
    """A method that is not there, or a name that several have."""

    class Twice(PlainService):
        @property
        def methods(self) -> list[str]:
            return ["a.A/Do", "b.B/Do"]

    async with LocalCoordinator(carrier.service(), Twice("twice")) as coordinator:
        with pytest.raises(UsageError, match=f"no method 'book'; it has: {BOOK}, {CANCEL}"):
            coordinator.faults.lose_reply("carrier", "book")
        with pytest.raises(
            UsageError, match=r"several methods 'Do'; name the service too; it has: a\.A/Do, b\.B/Do"
        ):
            coordinator.faults.lose_reply("twice", "Do")
        coordinator.faults.lose_reply("twice", "b.B/Do")
