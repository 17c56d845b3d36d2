"""What the methods of a plain service are given, and what becomes of what they do with it."""

import threading
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code
from grpc_status import rpc_status

from amends import OutcomeRule, StepState
from amends_coordinator.testing import LocalCoordinator, PlainService
from sample_services.carrier.carrier_pb2 import Booking, BookRequest
from sample_services.carrier.carrier_pb2_grpc import CarrierServicer, add_CarrierServicer_to_server
from tests.testing.kit_carrier import BOOK, INPUT, ONCE, Carrier, Context, parcel

DAY = 24 * 3_600


def too_far() -> grpc.Status:
    """A status with a reason in its details."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="TOO_FAR", metadata={"km": "9000"}))
    return rpc_status.to_status(status_pb2.Status(code=Code.ABORTED, message="too far", details=[detail]))


async def ended_by(coordinator: LocalCoordinator, carrier: Carrier, answer: Any, *rules: OutcomeRule) -> Any:
    """The saga whose only call was answered so."""
    carrier.answer = answer
    return await coordinator.run(parcel(*rules, **ONCE), INPUT)


async def test_a_status_means_what_it_means_from_any_participant(
    coordinator: LocalCoordinator, carrier: Carrier
) -> None:
    async def refuse(context: Context) -> None:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no way")

    saga = await ended_by(coordinator, carrier, refuse)
    assert (saga.turn_back.reason, saga.turn_back.message) == ("FAILED_PRECONDITION", "no way")
    assert saga.steps["ship"].state is StepState.REJECTED


async def test_a_rich_status_is_read_whole(coordinator: LocalCoordinator, carrier: Carrier) -> None:
    async def refuse(context: Context) -> None:
        await context.abort_with_status(too_far())

    saga = await ended_by(coordinator, carrier, refuse)
    assert saga.turn_back.reason == "TOO_FAR"
    assert saga.turn_back.metadata == {"km": "9000"}


async def test_a_rule_of_the_step_decides_before_the_table(
    coordinator: LocalCoordinator, carrier: Carrier
) -> None:
    """On a status, on a response, and on what a fault makes of a call."""

    async def exists(context: Context) -> None:
        await context.abort(grpc.StatusCode.ALREADY_EXISTS, "booked before")

    assert (
        await ended_by(coordinator, carrier, exists, OutcomeRule("ALREADY_EXISTS", "succeeded"))
    ).completed

    async def free(_context: Context) -> Booking:
        return Booking(booking_id="b-1")

    rule = OutcomeRule("OK", "rejected", "response.price_cents == 0", reason="NO_PRICE")
    assert (await ended_by(coordinator, carrier, free, rule)).turn_back.reason == "NO_PRICE"
    lost = OutcomeRule("UNAVAILABLE", "rejected")
    for arranged in (coordinator.faults.lose_call, coordinator.faults.lose_reply):
        arranged("carrier", "Book")
        saga = await ended_by(coordinator, carrier, free, lost)
        assert saga.steps["ship"].state is StepState.REJECTED
    coordinator.faults.fail("carrier", "Book", grpc.StatusCode.NOT_FOUND)
    assert (await ended_by(coordinator, carrier, free, OutcomeRule("NOT_FOUND", "succeeded"))).completed
    coordinator.faults.delay("carrier", "Book", DAY)
    saga = await ended_by(coordinator, carrier, free, OutcomeRule("DEADLINE_EXCEEDED", "rejected"))
    assert saga.steps["ship"].state is StepState.REJECTED


async def test_what_a_method_raises_leaves_it_unknown(
    coordinator: LocalCoordinator, carrier: Carrier, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a server; the error is in the log of the test, and in the saga."""

    async def stumble(_context: Context) -> None:
        raise LookupError("a bug")

    saga = await ended_by(coordinator, carrier, stumble)
    failure = saga.steps["ship"].last_failure
    assert (failure.code, failure.message) == (Code.UNKNOWN, f"{BOOK} raised LookupError('a bug')")
    assert "LookupError: a bug" in caplog.text


async def test_what_is_no_response_leaves_it_unknown(coordinator: LocalCoordinator, carrier: Carrier) -> None:
    async def mistake(_context: Context) -> None:
        return None

    saga = await ended_by(coordinator, carrier, mistake)
    assert saga.steps["ship"].last_failure.message.startswith(f"{BOOK} raised ")


async def test_a_code_that_is_set_is_what_the_call_ends_with(
    coordinator: LocalCoordinator, carrier: Carrier
) -> None:
    """Whether the method returns then or raises."""

    async def decline(context: Context) -> Booking:
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("not today")
        assert (context.code(), context.details()) == (grpc.StatusCode.ABORTED, "not today")
        return Booking()

    async def decline_and_raise(context: Context) -> None:
        await decline(context)
        raise NotImplementedError

    for answer in (decline, decline_and_raise):
        saga = await ended_by(coordinator, carrier, answer)
        assert (saga.turn_back.reason, saga.turn_back.message) == ("ABORTED", "not today")


async def test_a_method_that_nobody_wrote_is_unimplemented() -> None:
    """By the code that protoc generates for it."""
    service = PlainService("carrier").add(add_CarrierServicer_to_server, CarrierServicer())
    async with LocalCoordinator(service) as coordinator:
        saga = await coordinator.run(parcel(), INPUT)
    assert saga.turn_back is not None
    assert (saga.turn_back.reason, saga.turn_back.message) == ("UNIMPLEMENTED", "Method not implemented!")


async def test_ok_is_nothing_to_abort_with(coordinator: LocalCoordinator, carrier: Carrier) -> None:
    async def abort(context: Context) -> None:
        await context.abort(grpc.StatusCode.OK, "fine")

    saga = await ended_by(coordinator, carrier, abort)
    assert saga.steps["ship"].last_failure.code == Code.UNKNOWN


async def test_a_coroutine_has_the_context_of_an_asyncio_server(
    coordinator: LocalCoordinator, carrier: Carrier
) -> None:
    seen: list[Any] = []
    over: list[Any] = []

    async def look(context: Context) -> Booking:
        assert isinstance(context, grpc.aio.ServicerContext)
        context.add_done_callback(over.append)
        await context.send_initial_metadata((("a", "b"),))
        context.set_trailing_metadata((("c", "d"),))
        context.set_compression(grpc.Compression.Gzip)
        context.disable_next_message_compression()
        for misused in (context.read(), context.write(Booking())):
            with pytest.raises(grpc.aio.UsageError, match="does not stream"):
                await misused
        seen.extend([context.peer(), context.peer_identities(), context.peer_identity_key()])
        seen.extend(
            [context.auth_context(), context.trailing_metadata(), context.cancelled(), context.done()]
        )
        assert over == []
        assert 0 < context.time_remaining() <= 1.0
        return Booking(price_cents=1)

    assert (await ended_by(coordinator, carrier, look)).completed
    assert seen == ["local", None, None, {}, (("c", "d"),), False, False]
    assert [context.done() for context in over] == [True]


async def test_a_plain_function_has_the_context_of_a_server_with_threads() -> None:
    seen: list[Any] = []

    class Threaded(CarrierServicer):
        def Book(self, request: BookRequest, context: grpc.ServicerContext) -> Booking:
            assert isinstance(context, grpc.ServicerContext)
            assert threading.current_thread() is not threading.main_thread()
            key, value = context.invocation_metadata()[0]
            seen.append((key, value, context.invocation_metadata()[0].key))
            context.add_callback(lambda: seen.append(context.is_active()))
            context.send_initial_metadata((("a", "b"),))
            seen.append(context.is_active())
            if request.order_ref == "cancelled":
                context.cancel()
            if request.order_ref == "refused":
                context.abort_with_status(too_far())
            return Booking()

    service = PlainService("carrier").add(add_CarrierServicer_to_server, Threaded())
    async with LocalCoordinator(service) as coordinator:
        assert (await coordinator.run(parcel(), INPUT, saga_id="s-1")).completed
        assert seen == [("amends-saga-id", "s-1", "amends-saga-id"), True, False]
        refused = await coordinator.run(parcel(), INPUT, saga_id="refused")
        assert refused.turn_back is not None
        assert refused.turn_back.message == "too far"
        cancelled = await coordinator.run(parcel(**ONCE), INPUT, saga_id="cancelled")
        assert cancelled.steps["ship"].last_failure is not None
        assert cancelled.steps["ship"].last_failure.code == Code.CANCELLED
