"""What is special about calls by one stream: how it is chosen, batched, broken and opened again."""

import asyncio
import logging
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls import exchange
from amends_coordinator.calls.attempt import WITHDRAWN, Attempt
from amends_coordinator.core.outcomes import Outcome, Succeeded, Unknown
from amends_coordinator.core.values import Cause, Direction, TurnBack
from tests.calls.fake_participant import Connect, FakeParticipant, Request, Rig, Serve, accept

Reply = pb.ExchangeResponse.Reply


async def within(awaitable: Any) -> Any:
    """Waits for something that must happen."""
    return await asyncio.wait_for(awaitable, 5)


async def refuse_to_answer(_request: Request) -> Any:
    await asyncio.Event().wait()


async def one_in_flight(
    server: FakeParticipant, rig: Rig, saga_id: str = "saga"
) -> "asyncio.Future[Outcome]":
    """Sends a call that is not answered."""
    server.answer = refuse_to_answer
    _, future = rig.submit(saga_id)
    await within(server.seen.get())
    return future


async def test_the_stream_is_used_where_it_is_offered(serve: Serve, connect: Connect) -> None:
    """One stream for all calls; what gathers while a message is written goes into the next one together."""
    server = await serve()
    rig = connect(server)
    futures = [rig.submit(str(number))[1] for number in range(50)]
    await within(asyncio.gather(*futures))
    assert (server.streams, sum(server.batches)) == (1, 50)
    assert len(server.batches) < 50
    assert rig.opened == 1


async def test_a_message_carries_so_many_calls_at_most(serve: Serve, connect: Connect) -> None:
    """Beyond that, batching only delays the first reply."""
    server = await serve()
    rig = connect(server, limit=1000)
    futures = [rig.submit(str(number))[1] for number in range(600)]
    await within(asyncio.gather(*futures))
    assert max(server.batches) <= exchange.MAX_CALLS


async def test_without_exchange_calls_are_unary_from_then_on(serve: Serve, connect: Connect) -> None:
    """A participant answers UNIMPLEMENTED once; no call is lost, told twice, or sent by a stream again."""
    server = await serve("unary")
    rig = connect(server, limit=5)
    futures = [rig.submit(str(number))[1] for number in range(20)]
    assert await within(asyncio.gather(*futures)) == [Succeeded(None)] * 20
    streams = server.streams
    assert streams in (1, 2)  # it is asked again where its status met a message on its way
    assert await rig.call("later") == Succeeded(None)
    assert server.streams == streams
    assert server.seen.qsize() == 21
    assert rig.opened == 0


async def test_p7_a_try_takes_no_other_way_once_its_saga_has_turned_back(
    serve: Serve, connect: Connect
) -> None:
    """It cannot have been read where there is no Exchange, and no new attempt starts."""
    server = await serve("unary")
    rig = connect(server)
    attempt, outcome = rig.submit("one")
    attempt.saga.turn_back = TurnBack(Cause.CANCELLED, "", "CANCELLED", "enough")
    assert await within(outcome) == WITHDRAWN
    assert server.seen.empty()


async def test_a_participant_without_exchange_is_recognised_under_load(
    serve: Serve, connect: Connect
) -> None:
    """Messages on their way when the stream fails hide its status; it is asked for once more."""
    server = await serve("unary")
    for _ in range(3):
        rig = connect(server)
        futures = [rig.submit(str(number), input=b"x" * 900_000)[1] for number in range(8)]
        assert await within(asyncio.gather(*futures)) == [Succeeded(None)] * 8
        assert "by unary" in repr(rig.participant)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNIMPLEMENTED,
        None,
    ],
)
async def test_a_broken_stream_leaves_its_calls_unknown(
    code: grpc.StatusCode | None, serve: Serve, connect: Connect
) -> None:
    """The status, whatever its code, speaks of the stream: of its calls nobody knows. Another is opened."""
    server = await serve()
    rig = connect(server)
    await rig.call("before")
    futures = [await one_in_flight(server, rig, saga_id) for saga_id in ("a", "b")]
    server.break_code = code
    server.broken.set()
    for outcome in await within(asyncio.gather(*futures)):
        assert isinstance(outcome, Unknown)
        assert outcome.code == Code.UNAVAILABLE
        assert outcome.message.startswith(f"the stream to {server.address} broke: ")
    server.broken.clear()
    server.answer = accept
    assert await rig.call("after") == Succeeded(None)
    assert (server.streams, rig.opened) == (2, 2)


async def test_what_waits_while_a_stream_breaks_goes_on_the_next(serve: Serve, connect: Connect) -> None:
    """A call that had not been sent is not concerned."""
    server = await serve()
    rig = connect(server, limit=1)
    first = await one_in_flight(server, rig)
    _, second = rig.submit("second")
    server.broken.set()
    assert isinstance(await within(first), Unknown)
    server.broken.clear()
    server.answer = accept
    outcome = await within(second)
    if isinstance(outcome, Unknown):  # it may have left on the broken stream before the break was seen
        outcome = await rig.call("third")
    assert outcome == Succeeded(None)


async def test_bytes_that_are_no_message_end_the_stream_only(serve: Serve, connect: Connect) -> None:
    """A participant gone mad costs the calls in flight, and can be called again once it is mended."""
    server = await serve()
    rig = connect(server)
    server.garbage = b"\xff\xff\xff"
    outcome = await rig.call()
    assert isinstance(outcome, Unknown)
    assert outcome.message.endswith("the participant sent bytes that are no ExchangeResponse")
    server.garbage = b""
    assert await rig.call("after") == Succeeded(None)


async def test_replies_to_nothing_are_passed_over(serve: Serve, connect: Connect) -> None:
    """A number that was never sent, or was answered already, finds nobody."""
    server = await serve()
    rig = connect(server)
    rejection = pb.TryResponse(rejected=pb.Rejected(reason="NO"))
    server.extra = [Reply(number=1, try_response=rejection), Reply(number=999, try_response=rejection)]
    server.extra.append(Reply())
    assert [await rig.call("a"), await rig.call("b")] == [Succeeded(None)] * 2
    assert [saga_id for saga_id, _ in rig.ends] == ["a", "b"]


async def test_large_results_may_come_together(serve: Serve, connect: Connect) -> None:
    """A participant need not know how large a message its caller takes: each result keeps its own bound."""
    server = await serve()
    rig = connect(server)
    everyone = asyncio.Barrier(6)

    async def together(_request: Request) -> Any:
        await everyone.wait()
        result = any_pb2.Any(type_url="t", value=b"x" * (1 << 20))
        return pb.TryResponse(succeeded=pb.TryResponse.Succeeded(result=result))

    server.answer = together
    futures = [rig.submit(str(number))[1] for number in range(6)]
    for outcome in await within(asyncio.gather(*futures)):
        assert isinstance(outcome, Succeeded)


async def test_a_participant_that_stops_reading_is_given_up(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that nobody takes must not hold up those behind it for ever."""
    monkeypatch.setattr(exchange, "WRITE_PATIENCE", 0.1)
    server = await serve()
    server.reads = False
    rig = connect(server)
    large = b"x" * 900_000  # forty of these are more than any buffer on the way takes
    futures = [rig.submit(str(number), input=large)[1] for number in range(40)]
    first = await within(futures[0])
    assert isinstance(first, Unknown)
    assert first.message.endswith("the participant stopped reading")


async def test_a_mistake_of_ours_costs_one_stream(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong while a reply is handled is logged, and the participant can still be called."""
    server = await serve()
    rig = connect(server)

    def fail(_attempt: Attempt, _outcome: Outcome) -> None:
        raise RuntimeError("a mistake of ours")

    attempt, _ = rig.submit("first")
    attempt.end = fail
    with caplog.at_level(logging.ERROR, logger="asyncio"):
        async with asyncio.timeout(5):
            while "a mistake of ours" not in caplog.text:  # noqa: ASYNC110 - logged by the event loop
                await asyncio.sleep(0.01)
    assert await rig.call("second") == Succeeded(None)


async def test_a_mistake_of_ours_while_writing_costs_one_stream(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its call is unknown at once, and those behind it go on the next stream instead of waiting for ever."""
    fill = exchange.fill_try

    def fail_once(request: pb.TryRequest, attempt: Attempt) -> None:
        if attempt.saga.id == "first":
            raise RuntimeError("a mistake of ours")
        fill(request, attempt)

    monkeypatch.setattr(exchange, "fill_try", fail_once)
    server = await serve()
    rig = connect(server)
    _, first = rig.submit("first")
    _, second = rig.submit("second")
    outcome = await within(first)
    assert isinstance(outcome, Unknown)
    assert outcome.message.endswith("failed to write to it; its log says how")
    assert await within(second) == Succeeded(None)
    assert "a mistake of ours" in caplog.text
    assert rig.participant.in_flight == 0


async def test_a_call_that_ended_while_it_waited_for_the_next_message_is_not_sent(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no room for it in the last message, and its time ran out while that was written."""
    monkeypatch.setattr(exchange, "MAX_REQUEST", 1_500)
    server = await serve()
    rig = connect(server)
    sender = rig.participant._exchange
    assert sender is not None
    gather = sender._gather
    ended: list[Attempt] = []

    def gather_late() -> pb.ExchangeRequest | None:
        request = gather()
        if sender._carried is not None and not ended:
            ended.append(second)
            rig.participant._expire(second)
        return request

    monkeypatch.setattr(sender, "_gather", gather_late)
    _, first = rig.submit("first", input=b"x" * 1_000)
    second, late = rig.submit("second", input=b"x" * 1_000)
    _, third = rig.submit("third")
    assert await within(first) == await within(third) == Succeeded(None)
    assert isinstance(await within(late), Unknown)
    assert ended == [second]
    assert [call.try_request.saga_id for call in server.calls] == ["first", "third"]


async def test_each_direction_has_its_request(serve: Serve, connect: Connect) -> None:
    """A Try stands for a Try, a Compensate for a Compensate, and numbers are unique within the stream."""
    server = await serve()
    rig = connect(server)
    await rig.call("a")
    await rig.call("b", direction=Direction.BACKWARD)
    assert [call.WhichOneof("request") for call in server.calls] == ["try_request", "compensate_request"]
    assert len({call.number for call in server.calls}) == 2
