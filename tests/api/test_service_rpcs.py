"""Every RPC of the service, over a real channel."""

import asyncio
from typing import Any

import pytest

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.core.outcomes import Refused, Unknown
from amends_coordinator.core.values import Direction, Refusal
from tests.api.service_world import Service, definition, failure, service, start_request, text, until
from tests.runtime.runtime_world import FAR, HOLD, REJECTED, SUCCEEDED

Saga = saga_pb2.Saga
StepRun = saga_pb2.StepRun
Resolution = event_pb2.StepResolved


def _watch(saga_id: str, **fields: Any) -> pb.WatchSagaRequest:
    return pb.WatchSagaRequest(saga_id=saga_id, **fields)


async def _parked(s: Service) -> None:
    """A saga that is parked, since its first step is not undone."""
    s.shop.script |= {"ship": REJECTED, ("reserve", Direction.BACKWARD): Refused(Refusal("TOO_LATE"))}
    request = start_request("a", definition=definition("reserve", "ship"))
    request.wait.FromSeconds(60)
    assert (await s.call("StartSaga", request)).state == Saga.PARKED
    del s.shop.script["reserve", Direction.BACKWARD]


# Looking


async def test_a_saga_is_shown_while_a_call_is_under_way() -> None:
    """Which step is being called, in which attempt, and that it is in flight."""
    async with service() as s:
        s.shop.script["charge"] = HOLD
        await s.begin("a")
        await s.held()
        saga = await s.call("GetSaga", pb.GetSagaRequest(saga_id="a"))
        assert [run.state for run in saga.steps] == [StepRun.SUCCEEDED, StepRun.TRYING, StepRun.WAITING]
        assert (saga.steps[1].in_flight, saga.steps[1].attempts) == (True, 1)


async def test_a_saga_shows_why_it_waits() -> None:
    """How the last attempt failed, and when the next one leaves."""
    async with service() as s:
        s.shop.script["reserve"] = Unknown(14, "connection refused by 10.0.0.1:50052", retry_after=60.0)
        await s.begin("a")
        await until(lambda: "AttemptFailed" in s.store.facts("a"))
        run = (await s.call("GetSaga", pb.GetSagaRequest(saga_id="a"))).steps[0]
        assert run.last_failure.message == "connection refused by 10.0.0.1:50052"
        assert run.next_attempt_time.ToSeconds() - run.last_failure.time.ToSeconds() == 60


async def test_a_saga_is_shown_from_disk_while_the_store_cannot_be_written() -> None:
    """Looking needs no room."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        await s.held()
        s.store.failing = True
        s.shop.answer(SUCCEEDED)
        await until(lambda: s.runtime.journal.trouble)
        saga = await s.call("GetSaga", pb.GetSagaRequest(saga_id="a"))
        assert saga.steps[0].state == StepRun.TRYING


async def test_a_saga_that_ends_while_it_is_looked_at_is_shown() -> None:
    """The moment between its last fact and its end is no error."""
    async with service() as s:
        s.shop.script["ship"] = HOLD
        await s.begin("a")
        await s.held()
        s.store.open.clear()
        s.shop.answer(SUCCEEDED)
        looking = asyncio.ensure_future(s.call("GetSaga", pb.GetSagaRequest(saga_id="a")))
        await until(lambda: s.live("a").unwritten == 2)
        s.store.open.set()
        assert (await looking).state == Saga.COMPLETED


# Watching


async def test_a_watch_sends_history_and_then_what_happens() -> None:
    """Numbered without a gap, and it ends with the saga."""
    async with service() as s:
        s.shop.script["charge"] = HOLD
        await s.begin("a")
        await s.held()
        stream = aiter(s.stub.WatchSaga(_watch("a"), timeout=10.0))
        seen = [await anext(stream), await anext(stream)]
        s.shop.answer(SUCCEEDED)
        seen += [event async for event in stream]
        assert [event.sequence for event in seen] == [1, 2, 3, 4, 5]
        assert [event.WhichOneof("fact") for event in seen][-1] == "saga_completed"
        assert {event.saga_id for event in seen} == {"a"}


async def test_a_watch_is_resumed_after_an_event() -> None:
    """It begins with the next one."""
    async with service() as s:
        await s.begin("a")
        await s.eventually("a", "COMPLETED")
        events = [event async for event in s.stub.WatchSaga(_watch("a", after_sequence=3), timeout=10.0)]
        assert [event.sequence for event in events] == [4, 5]


async def test_history_only_does_not_wait() -> None:
    """What happened so far, and the end of the stream."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        request = _watch("a", history_only=True)
        assert [event.sequence async for event in s.stub.WatchSaga(request, timeout=10.0)] == [1]


async def test_a_watcher_that_goes_away_is_forgotten() -> None:
    """Its saga could not sleep otherwise."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        stream = s.stub.WatchSaga(_watch("a"), timeout=10.0)
        await stream.read()
        await until(lambda: s.live("a").watchers)
        stream.cancel()
        await until(lambda: not s.live("a").watchers)


# Moving on


async def test_a_cancelled_saga_is_compensated() -> None:
    """The answer is the saga that turned back, with the caller's words."""
    async with service() as s:
        s.shop.script["charge"] = FAR
        await s.begin("a")
        await until(lambda: "AttemptPending" in s.store.facts("a"))
        saga = await s.call("CancelSaga", pb.CancelSagaRequest(saga_id="a", reason="changed my mind"))
        assert saga.state == Saga.COMPENSATING
        assert saga.turn_back.message == "changed my mind"
        await s.eventually("a", "COMPENSATED")


async def test_a_cancel_of_a_saga_that_turned_back_changes_nothing() -> None:
    """Also when it has ended."""
    async with service() as s:
        s.shop.script["ship"] = REJECTED
        await s.begin("a")
        before = await s.eventually("a", "COMPENSATED")
        assert await s.call("CancelSaga", pb.CancelSagaRequest(saga_id="a")) == before


async def test_a_retry_calls_now_what_would_wait() -> None:
    """Two hours are cut short."""
    async with service() as s:
        s.shop.script["charge"] = FAR
        await s.begin("a")
        await until(lambda: "AttemptPending" in s.store.facts("a"))
        s.shop.script["charge"] = SUCCEEDED
        saga = await s.call("RetrySaga", pb.RetrySagaRequest(saga_id="a", reason="they are back"))
        assert saga.state == Saga.RUNNING
        await s.eventually("a", "COMPLETED")
        assert "SagaRetried" in s.store.facts("a")


async def test_p12_a_parked_saga_is_retried() -> None:
    """The operator mended what refused."""
    async with service() as s:
        await _parked(s)
        await s.call("RetrySaga", pb.RetrySagaRequest(saga_id="a"))
        await s.eventually("a", "COMPENSATED")


async def test_a_parked_step_is_resolved() -> None:
    """The operator undid it by hand, and says how."""
    async with service() as s:
        await _parked(s)
        request = pb.ResolveStepRequest(
            saga_id="a", step="reserve", resolution=Resolution.COMPENSATED, reason="released by hand"
        )
        assert (await s.call("ResolveStep", request)).state == Saga.COMPENSATED
        resolved = next(event for event in s.store.log("a") if type(event.fact).__name__ == "StepResolved")
        assert resolved.fact.reason == "released by hand"  # type: ignore[union-attr]


async def test_a_step_resolved_as_succeeded_has_a_result() -> None:
    """Later steps see it."""
    async with service() as s:
        s.shop.script["charge"] = FAR
        await s.begin("a")
        await until(lambda: "AttemptPending" in s.store.facts("a"))
        request = pb.ResolveStepRequest(
            saga_id="a", step="charge", resolution=Resolution.SUCCEEDED, reason="seen", result=text("receipt")
        )
        await s.call("ResolveStep", request)
        saga = await s.eventually("a", "COMPLETED")
        assert saga.steps[1].result == text("receipt")


# Definitions


async def test_definitions_are_registered_in_versions() -> None:
    """The same content is the same version, other content is the next one; a start runs the newest."""
    async with service() as s:
        first = await s.call("RegisterDefinition", pb.RegisterDefinitionRequest(definition=definition()))
        again = await s.call("RegisterDefinition", pb.RegisterDefinitionRequest(definition=definition()))
        shorter = pb.RegisterDefinitionRequest(definition=definition("reserve"))
        second = await s.call("RegisterDefinition", shorter)
        assert (first.version, again, second.version) == (1, first, 2)
        assert first.HasField("create_time")
        for version, expected in ((0, second), (1, first), (2, second)):
            request = pb.GetDefinitionRequest(name="order", version=version)
            assert await s.call("GetDefinition", request) == expected
        assert (await s.begin("a", definition_name="order")).definition.version == 2


async def test_definitions_are_listed_by_name_and_page() -> None:
    """The newest version of each, and every one of them once."""
    async with service() as s:
        for name in ("delta", "alpha", "charlie", "bravo", "alpha"):
            steps = ("reserve", "ship") if name == "alpha" else ("reserve",)
            request = pb.RegisterDefinitionRequest(definition=definition(*steps, name=name))
            await s.call("RegisterDefinition", request)
        found, token = [], ""
        while True:
            page = await s.call("ListDefinitions", pb.ListDefinitionsRequest(page_size=3, page_token=token))
            assert len(page.definitions) <= 3
            found += [each.name for each in page.definitions]
            token = page.next_page_token
            if not token:
                break
        assert found == ["alpha", "bravo", "charlie", "delta"]


# Lists


@pytest.fixture
def filters() -> list[tuple[dict[str, Any], set[str]]]:
    """Conditions, and which of the sagas below they hold for."""
    return [
        ({}, {"done", "back", "busy", "stuck"}),
        ({"states": [Saga.COMPLETED]}, {"done"}),
        ({"states": [Saga.COMPENSATED, Saga.RUNNING]}, {"back", "busy"}),
        ({"definition_name": "other"}, {"busy"}),
        ({"labels": {"color": "red"}}, {"done", "back"}),
        ({"labels": {"color": "red", "size": "xl"}}, {"back"}),
        ({"needs_attention": True}, {"stuck"}),
        ({"states": [Saga.COMPLETED], "needs_attention": True}, set()),
    ]


async def test_sagas_are_listed_by_every_condition(filters: list[tuple[dict[str, Any], set[str]]]) -> None:
    """All conditions must hold."""
    async with service() as s:
        await _four(s)
        for conditions, expected in filters:
            page = await s.call("ListSagas", pb.ListSagasRequest(**conditions))
            assert {each.id for each in page.sagas} == expected, conditions


async def _four(s: Service) -> None:
    await s.begin("done", labels={"color": "red"})
    await s.eventually("done", "COMPLETED")
    s.shop.script |= {"ship": REJECTED}
    await s.begin("back", labels={"color": "red", "size": "xl"})
    await s.eventually("back", "COMPENSATED")
    s.shop.script["reserve", Direction.BACKWARD] = Refused(Refusal("TOO_LATE"))
    await s.begin("stuck")
    await until(lambda: "SagaParked" in s.store.facts("stuck"))
    s.shop.script["charge"] = HOLD
    await s.begin("busy", definition=definition("charge", name="other"))


async def test_sagas_are_listed_by_the_time_of_their_creation() -> None:
    """From a moment on, and before a moment."""
    async with service() as s:
        first = await s.begin("first")
        await asyncio.sleep(0.002)
        second = await s.begin("second")
        since = await s.call("ListSagas", pb.ListSagasRequest(created_from=second.create_time))
        before = await s.call("ListSagas", pb.ListSagasRequest(created_before=second.create_time))
        assert [each.id for each in since.sagas] == ["second"]
        assert [each.id for each in before.sagas] == [first.id]


async def test_pages_hold_every_saga_once_the_newest_first() -> None:
    """Whatever is started while the pages are read."""
    async with service() as s:
        for number in range(7):
            await s.begin(f"s{number}")
        found, token = [], ""
        while True:
            page = await s.call("ListSagas", pb.ListSagasRequest(page_size=3, page_token=token))
            found += [each.id for each in page.sagas]
            token = page.next_page_token
            await s.begin(f"later-{len(found)}")
            if not token:
                break
        assert found == [f"s{number}" for number in reversed(range(7))]


async def test_a_token_is_good_for_its_own_conditions_only() -> None:
    """INVALID_ARGUMENT, naming the token."""
    async with service() as s:
        for number in range(3):
            await s.begin(f"s{number}")
        page = await s.call("ListSagas", pb.ListSagasRequest(page_size=1))
        other = pb.ListSagasRequest(page_token=page.next_page_token, definition_name="order")
        assert (await failure(s.call("ListSagas", other))).fields == ["page_token"]


async def test_a_summary_tells_what_a_list_shows() -> None:
    """Id, definition, state, labels, times; and why an operator should look."""
    async with service() as s:
        await _parked(s)
        summary = (await s.call("ListSagas", pb.ListSagasRequest())).sagas[0]
        assert (summary.id, summary.definition_name, summary.state) == ("a", "order", Saga.PARKED)
        assert "TOO_LATE" in summary.needs_attention
        assert not summary.HasField("end_time")
