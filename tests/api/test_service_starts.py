"""StartSaga and StartSagas: what is answered, and when."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import saga_pb2
from amends_coordinator.api import starting
from amends_coordinator.api.service import MAX_UNREAD, _StartStream
from amends_coordinator.contract.definitions import shared_definition
from amends_coordinator.core.outcomes import Pending, Refused
from amends_coordinator.core.values import Direction, Refusal
from amends_coordinator.store import SqliteStore
from tests.api.service_world import Service, definition, failure, offers, service, start_request, text, until
from tests.runtime.runtime_world import FAR, HOLD, REJECTED, SUCCEEDED

LONG = duration_pb2.Duration(seconds=60)
SHORT = duration_pb2.Duration(nanos=50_000_000)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Saga = saga_pb2.Saga


async def test_a_start_is_answered_with_the_saga() -> None:
    """Its id, its definition with every default, its labels, and that it runs."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        saga = await s.begin("a", input=text("hello"), labels={"color": "red"})
        assert (saga.id, saga.state, dict(saga.labels)) == ("a", Saga.RUNNING, {"color": "red"})
        assert saga.input == text("hello")
        assert saga.definition.steps[1].needs.steps == ["reserve"]
        assert saga.definition.steps[0].retry.max_attempts == 20


async def test_an_id_is_made_where_none_is_given() -> None:
    """Another one for each start."""
    async with service() as s:
        first, second = await s.begin(""), await s.begin("")
        assert first.id != second.id


# Waiting


async def test_a_start_may_wait_for_the_end() -> None:
    """The answer is the saga that has ended."""
    async with service() as s:
        saga = await s.begin("a", wait=LONG)
        assert saga.state == Saga.COMPLETED
        assert [run.state for run in saga.steps] == [saga_pb2.StepRun.SUCCEEDED] * 3


async def test_a_saga_that_turned_back_tells_why() -> None:
    """COMPENSATED is an answer, not an error."""
    async with service() as s:
        s.shop.script["ship"] = REJECTED
        saga = await s.begin("a", wait=LONG)
        assert saga.state == Saga.COMPENSATED
        assert (saga.turn_back.step, saga.turn_back.reason) == ("ship", "OUT_OF_STOCK")


async def test_a_start_that_waits_is_answered_when_the_saga_is_parked() -> None:
    """Nobody should wait for an operator."""
    async with service() as s:
        s.shop.script |= {"ship": REJECTED, ("charge", Direction.BACKWARD): Refused(Refusal("TOO_LATE"))}
        saga = await s.begin("a", wait=LONG)
        assert saga.state == Saga.PARKED
        assert "TOO_LATE" in saga.needs_attention


async def test_running_out_of_time_is_no_error() -> None:
    """The answer is the saga as far as it came."""
    async with service() as s:
        s.shop.script["charge"] = HOLD
        saga = await s.begin("a", wait=SHORT)
        assert saga.state == Saga.RUNNING
        assert saga.steps[0].state == saga_pb2.StepRun.SUCCEEDED


async def test_the_deadline_of_the_rpc_bounds_the_wait() -> None:
    """The answer arrives in time, instead of DEADLINE_EXCEEDED."""
    async with service() as s:
        s.shop.script["charge"] = HOLD
        saga = await s.call("StartSaga", start_request("a", wait=LONG), timeout=0.4)
        assert saga.state == Saga.RUNNING


async def test_p1_running_out_of_time_shows_nothing_that_is_not_durable() -> None:
    """Not even then is a start answered that is not on disk."""
    async with service() as s:
        s.store.open.clear()
        answering = asyncio.ensure_future(s.begin("a", wait=SHORT))
        await until(lambda: not s.live("a").waiters if s.runtime.live("a") else False)
        assert not answering.done()
        s.store.open.set()
        assert (await answering).state == Saga.RUNNING


async def test_a_start_out_of_time_leaves_no_waiter_behind() -> None:
    """However often it is repeated: sagas that somebody waits for stay in memory."""
    async with service() as s:
        s.shop.script["reserve"] = FAR
        for _ in range(3):
            await s.begin("a", wait=SHORT)
        assert s.live("a").waiters == []


async def test_a_start_out_of_time_while_its_definition_is_looked_up_is_answered_when_it_is_durable() -> None:
    """A participant took its time to describe itself; when it has, the saga begins and nobody waits."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        described = s.shop.hold_description()
        answering = asyncio.ensure_future(s.begin("a", wait=SHORT))
        await asyncio.sleep(0.1)
        described.set()
        assert (await answering).state == Saga.RUNNING


async def test_a_repetition_may_wait_for_a_saga_of_the_store() -> None:
    """It ended before, or sleeps; and time may run out here, too."""
    async with service() as s:
        await s.begin("ended", wait=LONG)
        assert (await s.begin("ended", wait=LONG)).state == Saga.COMPLETED
        s.shop.script["reserve"] = FAR
        await s.begin("asleep")
        await until(lambda: "AttemptPending" in s.store.facts("asleep"))
        s.runtime.forget(s.live("asleep"))
        assert (await s.begin("asleep", wait=SHORT)).state == Saga.RUNNING


async def test_a_client_that_goes_away_does_not_stop_its_saga() -> None:
    """Nobody waits any more; the saga ends all the same."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        call = s.stub.StartSaga(start_request("a", wait=LONG))
        await s.held()
        call.cancel()
        s.shop.answer(SUCCEEDED)
        await s.eventually("a", "COMPLETED")


# The same start (P10)


async def test_p10_a_repetition_gets_its_saga_though_the_definition_lost_a_step_since() -> None:
    """Its step input is for no step of the newest version; it was for one of the version that runs."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.call("RegisterDefinition", pb.RegisterDefinitionRequest(definition=definition()))
        fields: dict[str, Any] = {"definition_name": "order", "step_inputs": {"ship": text("here")}}
        await s.begin("a", **fields)
        shorter = definition("reserve", "charge")
        await s.call("RegisterDefinition", pb.RegisterDefinitionRequest(definition=shorter))
        saga = await s.begin("a", **fields)
        assert saga.definition.version == 1
        refused = await failure(s.begin("b", **fields))
        assert refused.fields == ["step_inputs['ship']"]


async def test_p10_a_repetition_gets_its_saga_though_its_participant_changed_since() -> None:
    """A new saga of this definition would be refused; this one was accepted."""
    async with service() as s:
        await s.begin("a", wait=LONG)
        s.shop.description = offers("something else")
        s.admission.participant_changed("shop")
        assert (await s.begin("a")).state == Saga.COMPLETED
        assert (await failure(s.begin("b"))).code == "INVALID_ARGUMENT"


async def test_p10_other_content_is_an_error() -> None:
    """ALREADY_EXISTS, naming the part."""
    async with service() as s:
        await s.begin("a", wait=LONG)
        refused = await failure(s.begin("a", input=text("other")))
        assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "SAGA_EXISTS_WITH_OTHER_CONTENT")
        assert "another input" in refused.message


async def test_p10_many_same_starts_at_once_are_one_saga() -> None:
    """Whichever comes first."""
    async with service() as s:
        sagas = await asyncio.gather(*(s.begin("a", wait=LONG) for _ in range(20)))
        assert {saga.state for saga in sagas} == {Saga.COMPLETED}
        assert len(s.shop.calls) == 3


async def test_p10_repetitions_at_once_of_a_saga_that_has_ended_are_answered(tmp_path: Path) -> None:
    """While the saga is being read, each finds the start of another in its place; none begins for ever."""
    store = await SqliteStore.open(tmp_path / "amends.db")
    async with service(store) as s:
        await s.begin("a", wait=LONG)
        answers = await asyncio.gather(*(s.begin("a") for _ in range(8)))
        assert {saga.state for saga in answers} == {Saga.COMPLETED}
    await store.close()


async def test_a_definition_registered_while_an_older_one_was_read_is_the_newest() -> None:
    """The slow look-up does not overwrite it."""
    async with service() as s:
        await s.store.put_definition(shared_definition(definition()), 0.0)
        held = s.store.hold_definitions()
        looking = asyncio.ensure_future(s.registry.get("order"))
        await asyncio.sleep(0)
        await s.registry.register(shared_definition(definition("reserve")))
        held.set()
        await looking
        assert len((await s.registry.get("order")).steps) == 1


# Traces


@pytest.mark.parametrize("where", ["request", "metadata"])
async def test_a_trace_is_continued(where: str) -> None:
    """From the request or, where it has none, from the RPC's metadata."""
    async with service() as s:
        in_request = {"traceparent": TRACEPARENT} if where == "request" else {}
        metadata = [("traceparent", TRACEPARENT)] if where == "metadata" else []
        saga = await s.call("StartSaga", start_request("a", **in_request), metadata=metadata)
        assert saga.traceparent == TRACEPARENT


@pytest.mark.parametrize("where", ["request", "metadata"])
@pytest.mark.parametrize("garbage", ["x", "00-x-y-z", TRACEPARENT + "-" + "x" * 1_000])
async def test_a_malformed_traceparent_is_ignored(where: str, garbage: str) -> None:
    """It gets neither into the saga nor, with it, into log lines, where it would be taken apart."""
    async with service() as s:
        s.shop.script |= {"ship": REJECTED, ("charge", Direction.BACKWARD): Refused(Refusal("TOO_LATE"))}
        in_request = {"traceparent": garbage} if where == "request" else {}
        metadata = [("traceparent", garbage)] if where == "metadata" else []
        request = start_request("a", wait=LONG, **in_request)
        saga = await s.call("StartSaga", request, metadata=metadata)
        assert (saga.traceparent, saga.state) == ("", Saga.PARKED)


# The stream


async def _stream(s: Service, *batches: list[pb.StartSagaRequest]) -> dict[int, Any]:
    """Sends requests, numbered from 1, and collects the results."""
    number = 0
    stream = s.stub.StartSagas(timeout=10.0)
    for batch in batches:
        message = pb.StartSagasRequest()
        for request in batch:
            number += 1
            message.starts.add(number=number, request=request)
        await stream.write(message)
    await stream.done_writing()
    found: dict[int, Any] = {}
    async for response in stream:
        for result in response.results:
            assert result.number not in found, "answered twice"
            found[result.number] = result
    return found


async def test_good_and_bad_starts_of_one_stream_are_answered_each_by_its_number() -> None:
    """A failure is a result of its own, and ends nothing."""
    async with service() as s:
        await s.begin("used", wait=LONG)
        results = await _stream(
            s,
            [start_request("a"), start_request("not an id"), start_request("used", input=text("other"))],
            [start_request("b", definition_name="unheard-of"), start_request("used"), start_request("")],
        )
        codes = {number: result.error.code for number, result in results.items()}
        code = grpc.StatusCode
        expected = [0, code.INVALID_ARGUMENT, code.ALREADY_EXISTS, code.NOT_FOUND, 0, 0]
        assert codes == {
            number: each and each.value[0]
            for number, each in enumerate(expected, start=1)  # type: ignore[attr-defined]
        }
        assert results[1].saga_id == "a"
        assert results[5].state == Saga.COMPLETED
        assert results[6].saga_id


async def test_a_start_of_a_stream_may_wait_while_others_are_answered() -> None:
    """In any order: the second is answered while the first still waits."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        stream = s.stub.StartSagas(timeout=10.0)
        message = pb.StartSagasRequest()
        message.starts.add(number=7, request=start_request("a", wait=LONG))
        message.starts.add(number=8, request=start_request("b"))
        await stream.write(message)
        await stream.done_writing()
        first = (await stream.read()).results[0]
        assert (first.number, first.state) == (8, Saga.RUNNING)
        await until(lambda: len(s.shop.held) == 2)
        s.shop.script["reserve"] = SUCCEEDED
        s.shop.answer(REJECTED)
        second = (await stream.read()).results[0]
        assert (second.number, second.state) == (7, Saga.COMPENSATED)
        assert second.turn_back.reason == "OUT_OF_STOCK"
        assert await stream.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("where", "name"), [("reading", "read_start"), ("the fact", "fact"), ("the start", "launch")]
)
async def test_a_mistake_of_ours_in_one_start_of_a_stream_is_told_of_that_start_alone(
    where: str, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever it is made, and whether the start waits for its definition or not."""
    caplog.set_level(logging.CRITICAL)
    async with service() as s:
        owner: Any = starting if where == "reading" else s.starter
        real = getattr(owner, name)

        def mistaken(subject: Any, *rest: Any) -> Any:
            if subject.saga_id == "bad":
                raise ZeroDivisionError(where)
            return real(subject, *rest)

        monkeypatch.setattr(owner, name, mistaken)
        starts = [start_request("bad"), start_request("a")]
        for _ in ("the first of their definition", "those that follow"):
            results = await _stream(s, starts)
            assert results[1].error.code == grpc.StatusCode.INTERNAL.value[0]
            assert results[2].error.code == 0


async def test_a_stream_without_requests_ends() -> None:
    """With no answer and no error."""
    async with service() as s:
        assert await _stream(s) == {}


async def test_a_thousand_starts_of_one_stream_all_complete() -> None:
    """At a high rate, and each is answered once."""
    async with service(max_live_sagas=5_000) as s:
        requests = [start_request(f"s{number}", wait=LONG) for number in range(1_000)]
        results = await _stream(s, requests[:300], requests[300:])
        assert len(results) == 1_000
        assert {result.state for result in results.values()} == {Saga.COMPLETED}


async def test_a_client_that_does_not_read_its_results_is_not_read_from() -> None:
    """Results gather up to a bound; then its starts wait, by the flow control of the stream."""
    async with service() as s:
        read = 0

        async def messages() -> AsyncIterator[pb.StartSagasRequest]:
            nonlocal read
            for _ in range(100):
                read += 1
                yield pb.StartSagasRequest(
                    starts=[pb.StartSagasRequest.Start(request=start_request("not an id"))] * 100
                )

        stream = _StartStream(s.starter, "")
        reading = asyncio.create_task(stream.read(messages()))
        await asyncio.wait({reading}, timeout=0.2)
        assert read * 100 <= MAX_UNREAD + 100
        results = 0
        async for response in stream.responses():
            results += len(response.results)
        assert (read, results) == (100, 10_000)
        await reading


async def test_pending_steps_do_not_end_a_wait() -> None:
    """The participant decides on the second time of asking."""
    async with service() as s:
        s.shop.script["reserve"] = Pending(0.01)
        answering = asyncio.ensure_future(s.begin("a", wait=LONG))
        await until(lambda: len(s.shop.calls) > 1)
        s.shop.script["reserve"] = SUCCEEDED
        assert (await answering).state == Saga.COMPLETED
