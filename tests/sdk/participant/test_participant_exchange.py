"""What an Exchange adds to the unary calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from amends import Context, Participant
from amends._participant import exchange
from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc
from tests.sdk.participant.calls import compensate_request, exchange_of, outcomes, try_request

Json = dict  # type: ignore[type-arg]


async def read_all(call: Any) -> dict[int, str]:
    found: dict[int, str] = {}
    async for message in call:
        found.update(outcomes(message))
    return found


async def once(*messages: pb.ExchangeRequest) -> AsyncIterator[pb.ExchangeRequest]:
    for message in messages:
        yield message


async def test_every_call_gets_one_reply_and_the_stream_ends(stub: Any) -> None:
    message = exchange_of(try_request(action="plain"), compensate_request(saga="s2", action="plain"))
    assert await read_all(stub.Exchange(once(message))) == {0: "succeeded", 1: "compensated"}


async def test_an_exchange_without_calls_ends(stub: Any) -> None:
    assert await read_all(stub.Exchange(once())) == {}


async def test_a_bad_entry_fails_alone(stub: Any) -> None:
    message = exchange_of(None, try_request(saga="no good", action="plain"), try_request(action="plain"))
    found = await read_all(stub.Exchange(once(message)))
    assert found[0].startswith("request:")
    assert found[1].startswith("saga_id:")
    assert found[2] == "succeeded"


async def test_a_fault_carries_its_reason_and_the_wait(stub: Any) -> None:
    call = stub.Exchange(once(exchange_of(try_request(action="fly"))))
    message = await call.read()
    error = message.replies[0].error
    assert error.code == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert error.details[0].type_url.endswith("google.rpc.ErrorInfo")


async def test_a_timeout_of_a_call_is_its_deadline(ledger: Participant) -> None:
    message = exchange_of(try_request(action="plain"))
    message.calls[0].timeout.FromNanoseconds(0)
    response = await ledger.handle_batch(message)
    assert response.replies[0].error.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]


async def test_messages_stay_within_their_bound(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MESSAGE_BYTES_MAX", 100)
    message = exchange_of(*(try_request(saga=f"s{n}", action="plain") for n in range(30)))
    sizes = [len(found.replies) async for found in stub.Exchange(once(message))]
    assert sum(sizes) == 30
    assert max(sizes) <= 5


async def test_a_caller_that_does_not_read_is_not_read_either_until_it_does(
    stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "UNSENT_REPLIES_MAX", 1)
    messages = [
        exchange_of(*(try_request(saga=f"s{m}-{n}", action="plain") for n in range(5))) for m in range(5)
    ]
    sizes = [len(found.replies) async for found in stub.Exchange(once(*messages))]
    assert sum(sizes) == 25


@pytest.fixture
async def slow() -> AsyncIterator[tuple[Any, Participant, threading.Event]]:
    """A participant with an external action that waits until the test lets it go."""
    participant = Participant("slow", store="memory:")
    go = threading.Event()

    @participant.action(name="slow", external=True)
    def wait(order: Json, ctx: Context) -> None:
        assert go.wait(10)

    @participant.action(name="quick")
    def act(order: Json, ctx: Context) -> None:
        pass

    port = await participant.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield participant_pb2_grpc.ParticipantStub(channel), participant, go
        go.set()
        await participant.stop()


async def test_a_slow_call_holds_up_no_other(slow: tuple[Any, Participant, threading.Event]) -> None:
    stub, _, go = slow
    call = stub.Exchange()
    await call.write(exchange_of(try_request(saga="slow", action="slow")))
    for n in range(3):
        message = exchange_of(*[None] * (n + 1), try_request(saga=f"q{n}", action="quick"))
        del message.calls[: n + 1]
        await call.write(message)
        assert outcomes(await call.read()) == {n + 1: "succeeded"}
    go.set()
    assert outcomes(await call.read()) == {0: "succeeded"}
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_stopping_participant_answers_what_it_has_read_and_ends_the_stream(
    slow: tuple[Any, Participant, threading.Event],
) -> None:
    stub, participant, go = slow
    call = stub.Exchange()
    await call.write(
        exchange_of(try_request(saga="slow", action="slow"), try_request(saga="quick", action="quick"))
    )
    assert outcomes(await call.read()) == {1: "succeeded"}
    stopping = asyncio.create_task(participant.stop())
    await asyncio.sleep(0)
    go.set()
    assert outcomes(await call.read()) == {0: "succeeded"}
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK
    await stopping


async def test_a_caller_that_goes_away_leaves_the_effects_and_nothing_else(stub: Any, db_path: Path) -> None:
    call = stub.Exchange()
    await call.write(exchange_of(try_request(action="plain")))
    await call.read()
    call.cancel()
    assert (await stub.Try(try_request(action="plain"))).WhichOneof("outcome") == "succeeded"
