"""Calls to a real participant, by the stream and by unary RPCs: what a call means is the same."""

import asyncio
from typing import Any

import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends_coordinator.core import machine
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.outcomes import Compensated, Refused, Rejected, Succeeded, Unknown
from amends_coordinator.core.values import Direction, Payload
from tests.calls.fake_participant import CallFailedError, Connect, Request, Serve, accept, failed, one_step

FORWARD, BACKWARD = Direction.FORWARD, Direction.BACKWARD


async def within(awaitable: Any) -> Any:
    """Waits for something that must happen."""
    return await asyncio.wait_for(awaitable, 5)


async def test_a_try_carries_what_the_action_needs(way: str, serve: Serve, connect: Connect) -> None:
    """Saga, step, attempt, action, definition, input, and the results of the steps it needs."""
    server = await serve(way)
    rig = connect(server)
    steps = (
        Step(name="a", participant="payments", action="quote"),
        Step(name="b", participant="payments", action="charge", needs=("a",), timeout=7.5),
    )
    fact = SagaStarted(
        definition=Definition(name="order", steps=steps),
        input=Payload("t/in", b"1"),
        step_inputs={"b": Payload("t/own", b"2")},
        labels={},
        traceparent="00-trace",
    )
    saga, _ = machine.start("s-1", fact, 0.0)
    saga.runs[0].result = Payload("t/result", b"3")
    assert await within(rig.submit_step(saga, 1, FORWARD)[1]) == Succeeded(None)
    expected = pb.TryRequest(saga_id="s-1", step="b", attempt=1, action="charge", definition="order")
    expected.input.type_url, expected.input.value = "t/own", b"2"
    expected.results["a"].type_url, expected.results["a"].value = "t/result", b"3"
    assert server.seen.get_nowait() == expected
    if way == "exchange":
        (call,) = server.calls
        assert (call.timeout, call.traceparent) == (
            duration_pb2.Duration(seconds=7, nanos=500_000_000),
            "00-trace",
        )


async def test_a_compensate_carries_the_result_of_its_try(way: str, serve: Serve, connect: Connect) -> None:
    """The input that the step was tried with, and its result where that is known."""
    server = await serve(way)
    saga = one_step("s-1", input=b"1")
    saga.runs[0].result = Payload("t/result", b"3")
    assert await within(connect(server).submit_step(saga, 0, BACKWARD)[1]) == Compensated()
    expected = pb.CompensateRequest(
        saga_id="s-1", step="charge", attempt=1, action="charge-card", definition="order"
    )
    expected.input.type_url, expected.input.value = "t/a.B", b"1"
    expected.result.type_url, expected.result.value = "t/result", b"3"
    assert server.seen.get_nowait() == expected


@pytest.mark.parametrize("code", ["ABORTED", "UNIMPLEMENTED", "UNAVAILABLE", "CANCELLED", "INTERNAL"])
async def test_an_error_of_a_call_is_read_by_the_table(
    code: str, way: str, serve: Serve, connect: Connect
) -> None:
    """A definite code rejects, any other leaves it unknown; the way of the call makes no difference."""
    server = await serve(way)

    async def fail(_request: Request) -> Any:
        raise failed(Code.Value(code))

    server.answer = fail
    rig = connect(server)
    definite = code in ("ABORTED", "UNIMPLEMENTED")
    assert isinstance(await rig.call(), Rejected if definite else Unknown)
    assert isinstance(await rig.call(direction=BACKWARD), Refused if definite else Unknown)


async def test_a_hundred_calls_are_all_answered(way: str, serve: Serve, connect: Connect) -> None:
    """Each gets its own answer, exactly once, in any order."""
    server = await serve(way)

    async def odd_ones_are_rejected(request: Request) -> Any:
        if int(request.saga_id) % 2:
            return pb.TryResponse(rejected=pb.Rejected(reason=f"R{request.saga_id}"))
        return await accept(request)

    server.answer = odd_ones_are_rejected
    rig = connect(server, limit=7)
    futures = [rig.submit(str(number))[1] for number in range(100)]
    outcomes = await within(asyncio.gather(*futures))
    for number, outcome in enumerate(outcomes):
        if number % 2:
            assert outcome.rejection.reason == f"R{number}"
        else:
            assert outcome == Succeeded(None)
    assert len(rig.ends) == 100
    assert (rig.participant.in_flight, rig.participant.waiting) == (0, 0)


async def test_no_more_than_the_limit_is_in_flight(way: str, serve: Serve, connect: Connect) -> None:
    """The others wait, and go as soon as there is room."""
    server = await serve(way)
    gate = asyncio.Semaphore(0)

    async def wait(request: Request) -> Any:
        await gate.acquire()
        return await accept(request)

    server.answer = wait
    rig = connect(server, limit=2)
    futures = [rig.submit(str(number))[1] for number in range(5)]
    for _ in range(2):
        await within(server.seen.get())
    assert (rig.participant.in_flight, rig.participant.waiting) == (2, 3)
    gate.release()
    await within(server.seen.get())
    assert (rig.participant.in_flight, rig.participant.waiting) == (2, 2)
    for _ in range(4):
        gate.release()
    await within(asyncio.gather(*futures))
    assert server.seen.qsize() == 2


async def test_a_call_that_waits_can_be_withdrawn(way: str, serve: Serve, connect: Connect) -> None:
    """It never leaves, and its place in the queue is no one's; one that was sent is awaited as ever."""
    server = await serve(way)
    gate = asyncio.Event()

    async def wait(request: Request) -> Any:
        await gate.wait()
        return await accept(request)

    server.answer = wait
    rig = connect(server, limit=1)
    sent, first = rig.submit("sent")
    await within(server.seen.get())
    queued, second = rig.submit("queued")
    _, third = rig.submit("last")
    rig.participant.withdraw(queued)
    rig.participant.withdraw(queued)  # once more is once too often, and does nothing
    rig.participant.withdraw(sent)
    assert rig.participant.waiting == 1
    outcome = await within(second)
    assert (outcome.code, outcome.message) == (Code.CANCELLED, "withdrawn before it was sent")
    assert not first.done()
    gate.set()
    assert await within(first) == Succeeded(None)
    assert await within(third) == Succeeded(None)
    assert server.seen.get_nowait().saga_id == "last"


async def test_p11_an_attempt_ends_when_its_time_is_up(way: str, serve: Serve, connect: Connect) -> None:
    """A participant that hangs is waited for exactly as long as the step says."""
    server = await serve(way)
    hang = asyncio.Event()
    rig = connect(server)
    await rig.call()  # connected: what follows measures the time limit alone

    async def wait(_request: Request) -> Any:
        await hang.wait()

    server.answer = wait
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = await rig.call(timeout=0.1)
    took = loop.time() - began
    assert isinstance(outcome, Unknown)
    assert outcome.code == Code.DEADLINE_EXCEEDED
    assert 0.09 <= took < 1.0
    assert rig.participant.in_flight == 0


async def test_a_reply_that_comes_after_the_end_is_ignored(way: str, serve: Serve, connect: Connect) -> None:
    """An attempt is told its end once; the next call of the saga is another attempt."""
    server = await serve(way)
    gate = asyncio.Event()
    answered = asyncio.Event()

    async def wait(request: Request) -> Any:
        if request.saga_id != "late":
            return await accept(request)
        await gate.wait()
        answered.set()
        return await accept(request)

    server.answer = wait
    rig = connect(server)
    assert isinstance(await rig.call("late", timeout=0.05), Unknown)
    gate.set()
    if way == "exchange":  # a unary call is cancelled, a stream's is answered to nobody
        await within(answered.wait())
    assert await rig.call("next") == Succeeded(None)
    assert [saga_id for saga_id, _ in rig.ends] == ["late", "next"]


async def test_a_participant_that_hangs_holds_up_no_other(way: str, serve: Serve, connect: Connect) -> None:
    """Queues, limits and channels are each participant's own."""
    hanging, healthy = await serve(way), await serve(way)

    async def wait(_request: Request) -> Any:
        await asyncio.Event().wait()

    hanging.answer = wait
    first, second = connect(hanging, limit=1), connect(healthy)
    for number in range(20):
        first.submit(str(number))
    await within(hanging.seen.get())
    assert await second.call() == Succeeded(None)
    assert first.ends == []


async def test_a_participant_that_is_not_there_is_named(way: str, serve: Serve, connect: Connect) -> None:
    """Nobody listens: unknown, and the operator reads at which address."""
    server = await serve(way)
    rig = connect(server)
    await rig.call()
    await server.stop()
    await rig.call()  # this one may learn no more than that the connection went down under it
    outcome = await rig.call()
    assert isinstance(outcome, Unknown)
    assert outcome.code == Code.UNAVAILABLE
    assert server.address in outcome.message


async def test_a_participant_that_never_was_is_named(way: str, serve: Serve, connect: Connect) -> None:
    """The first call of all tells as much."""
    server = await serve(way)
    await server.stop()
    outcome = await connect(server).call()
    assert isinstance(outcome, Unknown)
    assert outcome.code == Code.UNAVAILABLE
    assert server.address in outcome.message


async def test_calls_flow_again_once_a_participant_is_back(way: str, serve: Serve, connect: Connect) -> None:
    """Restarted on the same port, it is found within about a second, by the same channel."""
    server = await serve(way)
    rig = connect(server)
    assert await rig.call() == Succeeded(None)
    await server.stop()
    assert isinstance(await rig.call(), Unknown)
    await server.start()
    async with asyncio.timeout(5):
        while isinstance(await rig.call(), Unknown):  # noqa: ASYNC110 - as a saga does between attempts
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("direction", Direction)
async def test_a_call_too_large_is_definite(
    direction: Direction, way: str, serve: Serve, connect: Connect
) -> None:
    """It never leaves; what is beside it in the queue is sent all the same."""
    server = await serve(way)
    rig = connect(server)
    _, before = rig.submit("before")
    _, large = rig.submit("large", direction=direction, input=b"x" * (5 << 20))
    _, after = rig.submit("after")
    outcome = await within(large)
    why = outcome.rejection if direction is FORWARD else outcome.refusal
    assert why.reason == "CALL_TOO_LARGE"
    assert [await within(before), await within(after)] == [Succeeded(None)] * 2
    assert rig.participant.in_flight == 0


async def test_calls_of_the_greatest_size_are_taken(way: str, serve: Serve, connect: Connect) -> None:
    """Each fits a message, though two of them together would not."""
    server = await serve(way)
    rig = connect(server)
    most = (4 << 20) - 3_000
    futures = [rig.submit(f"{n}", input=b"x" * (most if n % 2 else 900_000))[1] for n in range(6)]
    assert await within(asyncio.gather(*futures)) == [Succeeded(None)] * 6


async def test_a_retry_info_of_one_call_is_read(serve: Serve, connect: Connect) -> None:
    """On a stream a status travels whole; unary it is a rich error, which test_reading shows."""
    server = await serve()

    async def fail(_request: Request) -> Any:
        status = status_pb2.Status(code=Code.RESOURCE_EXHAUSTED, message="busy")
        info = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=7))
        status.details.add().Pack(info)
        raise CallFailedError(status)

    server.answer = fail
    assert await connect(server).call() == Unknown(Code.RESOURCE_EXHAUSTED, "busy", 7.0)


async def test_a_held_participant_is_sent_nothing_more(way: str, serve: Serve, connect: Connect) -> None:
    """Before a shutdown what is in flight is awaited, and what waits stays where it is."""
    server = await serve(way)
    gate = asyncio.Event()

    async def wait(request: Request) -> Any:
        await gate.wait()
        return await accept(request)

    server.answer = wait
    rig = connect(server)
    _, first = rig.submit("first")
    await within(server.seen.get())
    rig.participant.hold()
    _, second = rig.submit("second")
    gate.set()
    await within(rig.participant.until_quiet())
    assert first.done()
    assert not second.done()
    assert rig.participant.waiting == 1
    assert server.seen.empty()


async def test_a_closed_participant_tells_nobody(way: str, serve: Serve, connect: Connect) -> None:
    """What is in flight is abandoned: after a restart it is in doubt, as after a crash."""
    server = await serve(way)

    async def wait(_request: Request) -> Any:
        await asyncio.Event().wait()

    server.answer = wait
    rig = connect(server)
    rig.submit("first")
    await within(server.seen.get())
    await within(rig.close())
    assert rig.ends == []


async def test_a_closed_participant_calls_nobody(way: str, serve: Serve, connect: Connect) -> None:
    """A retry that falls due while the coordinator stops is not sent, and begins nothing that could fail."""
    server = await serve(way)
    rig = connect(server)
    await rig.call()
    await within(rig.close())
    before = len(asyncio.all_tasks())
    rig.submit("late")
    assert len(asyncio.all_tasks()) == before, "a task was begun, which finds its channel closed"


async def test_a_participant_describes_itself(way: str, serve: Serve, connect: Connect) -> None:
    """Whichever way it is called."""
    description = await connect(await serve(way)).participant.describe()
    assert description.participant == "fake"


async def test_repr_tells_the_way_and_the_load(way: str, serve: Serve, connect: Connect) -> None:
    """What an operator or a debugger wants to see."""
    server = await serve(way)
    rig = connect(server)
    await rig.call()
    expected = f"<Participant payments at {server.address} by {way}: 0 in flight, 0 waiting>"
    assert repr(rig.participant) == expected
