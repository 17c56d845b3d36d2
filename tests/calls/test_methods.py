"""Calls of methods of a service that never heard of Amends, over a real connection."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest

from amends_coordinator.bindings import plan
from amends_coordinator.calls.attempt import NOT_SENT
from amends_coordinator.core.definition import Kind, OutcomeKind, OutcomeRule, Step
from amends_coordinator.core.outcomes import (
    Compensated,
    Outcome,
    Pending,
    Refused,
    Rejected,
    Succeeded,
    Unknown,
)
from amends_coordinator.core.values import Cause, Direction, Payload, Refusal, Rejection, TurnBack
from tests.calls.fake_participant import Rig
from tests.descriptors import acme

FORWARD, BACKWARD = Direction.FORWARD, Direction.BACKWARD

Reply = Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[bytes]]

BOOKED = acme.message("acme.v1.Booking", id="b-1").SerializeToString()

RESULT = Payload("type.googleapis.com/acme.v1.Booking", BOOKED)

ORDER = acme.payload(acme.message("acme.v1.Order", id="7"))


class Carrier:
    """A server that answers every method as a test says, and remembers what it was called with."""

    def __init__(self) -> None:
        self.reply: Reply = self._book
        self.calls: list[tuple[str, bytes, dict[str, str]]] = []
        self.called = asyncio.Event()
        self.port = 0
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))

    async def start(self) -> None:
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        async def handle(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
            self.calls.append((details.method, request, metadata))
            self.called.set()
            return await self.reply(context)

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _book(self, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return BOOKED


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    made = Carrier()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def rig(carrier: Carrier) -> AsyncIterator[Rig]:
    made = Rig(f"127.0.0.1:{carrier.port}", limit=2)
    yield made
    await made.close()


def says(value: bytes) -> Reply:
    async def reply(_context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return value

    return reply


def fails(code: grpc.StatusCode, words: str = "words") -> Reply:
    async def reply(context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        await context.abort(code, words)
        raise AssertionError("abort raises")

    return reply


async def outcome(
    rig: Rig, step: Step | None = None, direction: Direction = FORWARD, **fields: Any
) -> Outcome:
    saga = acme.begun(acme.definition(step or acme.ship(), **fields), ORDER)
    if direction is BACKWARD:
        saga.runs[0].result = RESULT
    _, future = rig.submit_step(saga, 0, direction)
    return await asyncio.wait_for(future, 5)


async def test_a_try_sends_the_plain_request_and_the_saga_as_metadata(carrier: Carrier, rig: Rig) -> None:
    assert await outcome(rig) == Succeeded(RESULT)
    ((method, request, metadata),) = carrier.calls
    assert method == "/acme.v1.Carrier/Book"
    book = acme.message("acme.v1.BookRequest", order={"id": "7"}, reference="saga-1")
    assert request == book.SerializeToString()
    assert {key: value for key, value in metadata.items() if key.startswith(("amends", "idem"))} == {
        "amends-saga-id": "saga-1",
        "amends-step": "ship",
        "amends-direction": "forward",
        "amends-attempt": "1",
        "idempotency-key": "saga-1/ship",
    }


async def test_a_compensate_has_a_key_of_its_own(carrier: Carrier, rig: Rig) -> None:
    carrier.reply = says(b"")
    assert await outcome(rig, direction=BACKWARD) == Compensated()
    ((method, request, metadata),) = carrier.calls
    assert method == "/acme.v1.Carrier/Cancel"
    assert request == acme.message("acme.v1.CancelRequest", booking_id="b-1").SerializeToString()
    assert metadata["amends-direction"] == "backward"
    assert metadata["idempotency-key"] == "saga-1/ship/compensate"


async def test_the_clients_trace_goes_on(carrier: Carrier, rig: Rig) -> None:
    saga = acme.begun(acme.definition(), ORDER)
    saga.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    _, future = rig.submit_step(saga, 0, FORWARD)
    await asyncio.wait_for(future, 5)
    assert carrier.calls[0][2]["traceparent"] == saga.traceparent


async def test_no_stream_is_opened_to_it(carrier: Carrier, rig: Rig) -> None:
    """Whoever never heard of Amends is not asked for an Exchange, nor to describe itself."""
    for _ in range(3):
        await outcome(rig)
    assert {method for method, _, _ in carrier.calls} == {"/acme.v1.Carrier/Book"}


async def test_statuses_are_read_by_the_table(carrier: Carrier, rig: Rig) -> None:
    carrier.reply = fails(grpc.StatusCode.NOT_FOUND, "no such street")
    assert await outcome(rig) == Rejected(Rejection("NOT_FOUND", "no such street"), stated=False)
    assert await outcome(rig, direction=BACKWARD) == Refused(Refusal("NOT_FOUND", "no such street"))
    carrier.reply = fails(grpc.StatusCode.UNAVAILABLE)
    assert await outcome(rig) == Unknown(14, "words")


async def test_a_rule_reads_a_status_otherwise(carrier: Carrier, rig: Rig) -> None:
    gone = OutcomeRule(code=5, outcome=OutcomeKind.SUCCEEDED)
    carrier.reply = fails(grpc.StatusCode.NOT_FOUND)
    assert await outcome(rig, acme.ship(compensate_outcomes=(gone,)), BACKWARD) == Compensated()
    assert isinstance(await outcome(rig, acme.ship(compensate_outcomes=(gone,))), Rejected)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (OutcomeKind.SUCCEEDED, Succeeded(RESULT)),
        (
            OutcomeKind.REJECTED,
            Rejected(Rejection("DECLINED", "its response fits the condition response.id == 'b-1'")),
        ),
        (OutcomeKind.PENDING, Pending(1.0)),
        (OutcomeKind.UNKNOWN, Unknown(2, "its response fits the condition response.id == 'b-1'")),
    ],
)
async def test_a_rule_reads_a_response(rig: Rig, kind: OutcomeKind, expected: Outcome) -> None:
    reason = "DECLINED" if kind is OutcomeKind.REJECTED else ""
    rule = OutcomeRule(code=0, condition="response.id == 'b-1'", outcome=kind, reason=reason)
    other = replace(rule, condition="response.id == 'b-2'")
    assert await outcome(rig, acme.ship(try_outcomes=(other, rule))) == expected
    assert await outcome(rig, acme.ship(try_outcomes=(other,))) == Succeeded(RESULT)


async def test_a_refusal_that_is_read_from_a_response_has_a_reason(carrier: Carrier, rig: Rig) -> None:
    carrier.reply = says(b"")
    rule = OutcomeRule(code=0, condition="request.reference != ''", outcome=OutcomeKind.REJECTED)
    refused = await outcome(rig, acme.ship(compensate_outcomes=(rule,)), BACKWARD)
    assert isinstance(refused, Refused)
    assert refused.refusal.reason == "REJECTED_BY_RESPONSE"


async def test_a_reply_that_is_not_the_message_is_unknown_and_logged(
    carrier: Carrier, rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    carrier.reply = says(b"\xff\xff")
    with caplog.at_level(logging.WARNING):
        told = await outcome(rig)
    words = "is no acme.v1.Booking: its bytes cannot be read as one"
    assert told == Unknown(15, f"the participant answered with a reply that {words}")
    assert words in caplog.text
    (record,) = (record for record in caplog.records if words in record.getMessage())
    assert (record.__dict__["saga_id"], record.__dict__["step"]) == ("saga-1", "ship")


async def test_a_rule_that_comes_to_nothing_leaves_it_unknown(rig: Rig) -> None:
    rule = OutcomeRule(code=0, condition="1 / input.grams == 0", outcome=OutcomeKind.REJECTED)
    told = await outcome(rig, acme.ship(try_outcomes=(rule,)))
    assert told == Unknown(
        15, "the participant answered with a response that a rule makes nothing of: divide by zero"
    )


async def test_a_response_too_large_to_keep_is_unknown(carrier: Carrier, rig: Rig) -> None:
    carrier.reply = says(acme.message("acme.v1.Booking", id="x" * (1 << 20)).SerializeToString())
    told = await outcome(rig)
    assert isinstance(told, Unknown)
    assert "a response of 1048580 bytes; the limit is 1048576" in told.message


async def test_a_request_that_cannot_be_made_is_not_sent(carrier: Carrier, rig: Rig) -> None:
    step = acme.ship(try_method=replace(acme.BOOK, request="BookRequest{hint: string(1 / input.grams)}"))
    why = "the request cannot be made: divide by zero"
    # Nobody has said anything: what an earlier attempt came to is as open as before.
    assert await outcome(rig, step) == Rejected(Rejection("BINDING_FAILED", why), stated=False)
    broken = await outcome(rig, descriptors=b"\x0a\x02\x1a\x00")
    assert isinstance(broken, Rejected)
    saga = acme.begun(acme.definition(), ORDER)
    _, future = rig.submit_step(saga, 0, BACKWARD)
    refused = await asyncio.wait_for(future, 5)
    assert isinstance(refused, Refused)
    assert "the response of the Try, which was never learned" in refused.refusal.message
    assert carrier.calls == []


async def test_what_no_method_undoes_is_refused(carrier: Carrier, rig: Rig) -> None:
    """A pivot may be rejected in the end while an earlier attempt is in doubt: a person has to look."""
    pivot = acme.ship(kind=Kind.PIVOT, compensate_method=None)
    refused = await outcome(rig, pivot, BACKWARD)
    assert isinstance(refused, Refused)
    assert refused.refusal.reason == "NOT_COMPENSATABLE"
    assert carrier.calls == []


async def test_a_request_too_large_is_not_sent(carrier: Carrier, rig: Rig) -> None:
    step = acme.ship(
        try_method=replace(acme.BOOK, request="BookRequest{hint: input.address + input.address}")
    )
    saga = acme.begun(
        acme.definition(step), acme.payload(acme.message("acme.v1.Order", address="x" * (3 << 20)))
    )
    _, future = rig.submit_step(saga, 0, FORWARD)
    told = await asyncio.wait_for(future, 5)
    assert isinstance(told, Rejected)
    assert told.rejection.reason == "CALL_TOO_LARGE"
    assert carrier.calls == []


async def test_without_cel_nothing_is_decided(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    plan._environment.cache_clear()
    made = acme.definition(acme.ship("another"))
    saga = acme.begun(made, ORDER)
    _, future = rig.submit_step(saga, 0, FORWARD)
    told = await asyncio.wait_for(future, 5)
    assert told == Unknown(14, "CEL is not installed here any more: pip install 'amends[bindings]'")


async def test_a_call_has_the_time_of_its_step(carrier: Carrier, rig: Rig) -> None:
    never = asyncio.Event()

    async def hang(_context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        await never.wait()
        return b""

    carrier.reply = hang
    told = await outcome(rig, acme.ship(timeout=0.05))
    assert isinstance(told, Unknown)
    assert told.code == 4


async def test_what_was_never_sent_had_no_effect(carrier: Carrier, rig: Rig) -> None:
    """Two are in flight, as many as may be. The third is withdrawn, the fourth of a saga that turned back."""
    go = asyncio.Event()

    async def wait(_context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        await go.wait()
        return BOOKED

    carrier.reply = wait
    sagas = [acme.begun(acme.definition(), ORDER) for _ in range(4)]
    sent = [rig.submit_step(saga, 0, FORWARD) for saga in sagas]
    await asyncio.wait_for(carrier.called.wait(), 5)
    assert (rig.participant.in_flight, rig.participant.waiting) == (2, 2)
    rig.participant.withdraw(sent[2][0])
    assert await asyncio.wait_for(sent[2][1], 5) == NOT_SENT
    sagas[3].turn_back = TurnBack(Cause.CANCELLED, "", "CANCELLED", "")
    go.set()
    assert await asyncio.wait_for(sent[3][1], 5) == NOT_SENT
    assert [await asyncio.wait_for(future, 5) for _, future in sent[:2]] == [Succeeded(RESULT)] * 2
    await rig.participant.until_quiet()
    assert rig.participant.waiting == 0


async def test_methods_and_actions_of_one_participant_share_its_limit(carrier: Carrier, rig: Rig) -> None:
    go = asyncio.Event()

    async def wait(_context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        await go.wait()
        return BOOKED

    carrier.reply = wait
    methods = [rig.submit_step(acme.begun(acme.definition(), ORDER), 0, FORWARD)[1] for _ in range(2)]
    _, action = rig.submit("other", timeout=0.2)
    await asyncio.wait_for(carrier.called.wait(), 5)
    assert (rig.participant.in_flight, rig.participant.waiting) == (2, 1)
    go.set()
    assert [await asyncio.wait_for(future, 5) for future in methods] == [Succeeded(RESULT)] * 2
    assert isinstance(
        await asyncio.wait_for(action, 5), Unknown
    )  # this server gives a Try no answer that is one
