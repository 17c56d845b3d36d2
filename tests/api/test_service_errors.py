"""Every error of the service: its code, its stable reason, and what it says of the fields."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.protobuf import duration_pb2

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.api import limits
from amends_coordinator.core import facts as f
from amends_coordinator.runtime.room import OVERLOAD_DELAY
from tests.api.service_world import (
    Failure,
    Service,
    definition,
    failure,
    offers,
    service,
    start_request,
    text,
    until,
)
from tests.runtime.runtime_world import FAR, HOLD, SUCCEEDED

LONG = duration_pb2.Duration(seconds=60)


@contextmanager
def quiet_log() -> Iterator[None]:
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


OF_A_SAGA: dict[str, Callable[[str], Any]] = {
    "GetSaga": lambda saga_id: pb.GetSagaRequest(saga_id=saga_id),
    "CancelSaga": lambda saga_id: pb.CancelSagaRequest(saga_id=saga_id),
    "RetrySaga": lambda saga_id: pb.RetrySagaRequest(saga_id=saga_id),
    "ResolveStep": lambda saga_id: pb.ResolveStepRequest(
        saga_id=saga_id, step="reserve", resolution=event_pb2.StepResolved.SUCCEEDED, reason="seen"
    ),
}


async def _watch(s: Service, saga_id: str) -> Failure:
    return await failure(s.stub.WatchSaga(pb.WatchSagaRequest(saga_id=saga_id), timeout=10.0).read())


@pytest.mark.parametrize("method", OF_A_SAGA)
async def test_a_saga_that_does_not_exist_is_not_found(method: str) -> None:
    """Whatever was to be done with it."""
    async with service() as s:
        missed = await failure(s.call(method, OF_A_SAGA[method]("missing")))
        assert (missed.code, missed.reason) == ("NOT_FOUND", "SAGA_NOT_FOUND")


async def test_a_saga_that_does_not_exist_cannot_be_watched() -> None:
    """The stream fails before any event."""
    async with service() as s:
        missed = await _watch(s, "missing")
        assert (missed.code, missed.reason) == ("NOT_FOUND", "SAGA_NOT_FOUND")


@pytest.mark.parametrize("saga_id", ["", "a b", "x" * 129, "ä", "a/b", "a\n"])
@pytest.mark.parametrize("method", OF_A_SAGA)
async def test_an_id_that_can_be_none_is_malformed(method: str, saga_id: str) -> None:
    """INVALID_ARGUMENT, naming the field."""
    async with service() as s:
        refused = await failure(s.call(method, OF_A_SAGA[method](saga_id)))
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
        assert refused.fields == ["saga_id"]


async def test_a_watch_of_an_id_that_can_be_none_is_malformed() -> None:
    """As for the others."""
    async with service() as s:
        assert (await _watch(s, "a b")).fields == ["saga_id"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"saga_id": "a b"}, "saga_id"),
        ({"definition": None}, "definition_name"),
        ({"definition_name": "a b"}, "definition_name"),
        ({"definition": saga_pb2.Definition(name="empty")}, "definition.steps"),
        ({"definition": definition("reserve", "reserve")}, "definition.steps[1].name"),
        ({"definition": definition(participant="nobody")}, "definition.steps[0].participant"),
        ({"definition": definition("dance")}, "definition.steps[0].action"),
        ({"labels": {"a b": ""}}, "labels key 'a b'"),
        ({"labels": {"a": "x" * (limits.MAX_LABEL_VALUE + 1)}}, "labels['a']"),
        ({"labels": {str(number): "" for number in range(limits.MAX_LABELS + 1)}}, "labels"),
        ({"input": {"value": b"x" * (limits.MAX_PAYLOAD + 1)}}, "input"),
        ({"step_inputs": {"dance": text("x")}}, "step_inputs['dance']"),
    ],
)
async def test_a_malformed_start_names_the_field(fields: dict[str, Any], field: str) -> None:
    """And nothing is written."""
    async with service() as s:
        request = {"saga_id": "a", "definition": definition(), **fields}
        if "definition_name" in fields:
            del request["definition"]
        refused = await failure(s.call("StartSaga", pb.StartSagaRequest(**request)))
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
        assert refused.fields[0] == field
        assert s.store.batches == []


async def test_every_fault_is_told_at_once() -> None:
    """Nobody should have to mend a request one fault at a time."""
    async with service() as s:
        request = start_request("a b", labels={"c d": "x" * 300}, definition_name="e f")
        refused = await failure(s.call("StartSaga", request))
        assert len(refused.fields) == 4


async def test_a_step_that_cannot_be_undone_is_refused_where_it_would_have_to_be() -> None:
    """The message says what to do."""
    async with service() as s:
        s.shop.description = offers("reserve", compensatable=False)
        refused = await failure(s.begin("a", definition=definition("reserve")))
        assert "cannot compensate; give it a compensation" in refused.message


async def test_a_definition_that_is_not_registered_is_not_found() -> None:
    """By start and by look-up, whatever the version."""
    async with service() as s:
        missing = pb.GetDefinitionRequest(name="missing")
        for call in (s.begin("a", definition_name="missing"), s.call("GetDefinition", missing)):
            missed = await failure(call)
            assert (missed.code, missed.reason) == ("NOT_FOUND", "DEFINITION_NOT_FOUND")
        await s.call("RegisterDefinition", pb.RegisterDefinitionRequest(definition=definition()))
        second = pb.GetDefinitionRequest(name="order", version=2)
        assert "version 2" in (await failure(s.call("GetDefinition", second))).message


async def test_a_malformed_definition_is_not_registered() -> None:
    """A cycle is named by its steps."""
    async with service() as s:
        broken = definition("reserve", "charge")
        broken.steps[0].needs.steps.append("charge")
        request = pb.RegisterDefinitionRequest(definition=broken)
        refused = await failure(s.call("RegisterDefinition", request))
        assert refused.fields == ["definition.steps"]
        assert "cycle" in refused.message
        assert await s.store.list_definitions("", 10) == []


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListSagas", pb.ListSagasRequest(page_size=-1), "page_size"),
        ("ListSagas", pb.ListSagasRequest(page_token="x"), "page_token"),
        ("ListSagas", pb.ListSagasRequest(states=[99]), "states[0]"),  # type: ignore[list-item]
        ("ListSagas", pb.ListSagasRequest(definition_name="a b"), "definition_name"),
        ("ListDefinitions", pb.ListDefinitionsRequest(page_size=-1), "page_size"),
        ("GetDefinition", pb.GetDefinitionRequest(name="a", version=-1), "version"),
        ("GetDefinition", pb.GetDefinitionRequest(), "name"),
        ("CancelSaga", pb.CancelSagaRequest(saga_id="a", reason="x" * 1_025), "reason"),
        ("RetrySaga", pb.RetrySagaRequest(saga_id="a", reason="x" * 1_025), "reason"),
        ("ResolveStep", pb.ResolveStepRequest(saga_id="a", step="s", resolution="SUCCEEDED"), "reason"),
        ("ResolveStep", pb.ResolveStepRequest(saga_id="a", step="s", reason="seen"), "resolution"),
    ],
)
async def test_a_malformed_request_names_the_field(method: str, request_: Any, field: str) -> None:
    """INVALID_ARGUMENT, with a violation of that field."""
    async with service() as s:
        refused = await failure(s.call(method, request_))
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", [field])


async def test_a_step_that_the_saga_does_not_have_is_named_with_those_it_has() -> None:
    """INVALID_ARGUMENT of the field step."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        request = pb.ResolveStepRequest(saga_id="a", step="dance", resolution="SUCCEEDED", reason="seen")
        refused = await failure(s.call("ResolveStep", request))
        assert refused.fields == ["step"]
        assert "reserve, charge, ship" in refused.message


async def test_what_the_state_does_not_permit_is_a_failed_precondition() -> None:
    """Each with a reason of its own."""
    async with service() as s:
        await s.begin("a", wait=LONG)
        s.shop.script["reserve"] = HOLD
        await s.begin("b")
        await s.held()
        reasons = {}
        for method, saga_id in (("CancelSaga", "a"), ("RetrySaga", "a"), ("ResolveStep", "b")):
            refused = await failure(s.call(method, OF_A_SAGA[method](saga_id)))
            assert refused.code == "FAILED_PRECONDITION"
            reasons[method] = refused.reason
        assert reasons == {
            "CancelSaga": "SAGA_COMPLETED",
            "RetrySaga": "SAGA_ENDED",
            "ResolveStep": "CALL_IN_FLIGHT",
        }


async def test_p8_a_cancel_after_the_pivot_is_refused() -> None:
    """There is no way back."""
    async with service() as s:
        s.shop.script["ship"] = FAR
        steps = definition("reserve", "ship")
        steps.steps[0].kind = saga_pb2.Step.PIVOT
        steps.steps[1].kind = saga_pb2.Step.RETRIABLE
        await s.begin("a", definition=steps)
        await until(lambda: "AttemptPending" in s.store.facts("a"))
        refused = await failure(s.call("CancelSaga", pb.CancelSagaRequest(saga_id="a")))
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "PIVOT_PASSED")


async def test_a_full_coordinator_says_when_to_come_again() -> None:
    """RESOURCE_EXHAUSTED with a RetryInfo."""
    async with service(max_live_sagas=1) as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        refused = await failure(s.begin("b"))
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_SAGAS")
        assert refused.retry_info.retry_delay.ToTimedelta().total_seconds() == OVERLOAD_DELAY


async def test_a_store_that_cannot_be_written_is_unavailable_and_nothing_has_happened() -> None:
    """Starts and wishes alike; looking goes on."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        s.store.failing = True
        refused = await failure(s.begin("b"))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
        assert "the disk is full" in refused.message
        wish = await failure(s.call("CancelSaga", pb.CancelSagaRequest(saga_id="a")))
        assert (wish.code, wish.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
        assert (await failure(s.call("GetSaga", pb.GetSagaRequest(saga_id="b")))).code == "NOT_FOUND"
        assert len((await s.call("ListSagas", pb.ListSagasRequest())).sagas) == 1


async def test_a_saga_that_another_coordinator_writes_is_unavailable() -> None:
    """Whoever wishes something of it is told to come again."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        s.store.write_as_another("a", f.CancelRequested("by another coordinator"))
        with quiet_log():
            refused = await failure(s.call("RetrySaga", pb.RetrySagaRequest(saga_id="a")))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "SAGA_NOT_OWNED")


async def test_a_store_that_cannot_be_read_is_unavailable() -> None:
    """The caller may repeat."""
    async with service() as s:
        s.store.reading_fails = True
        refused = await failure(s.call("GetSaga", pb.GetSagaRequest(saga_id="a")))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")


async def test_a_stopping_coordinator_is_unavailable() -> None:
    """For new sagas."""
    async with service() as s:
        s.runtime.accepting = False
        refused = await failure(s.begin("a"))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "COORDINATOR_STOPPING")


async def test_a_broken_log_is_data_loss() -> None:
    """The one thing that no repetition mends; it is said, and other sagas go on."""
    async with service() as s:
        await s.begin("a", wait=LONG)
        s.store.break_log("a")
        refused = await failure(s.call("GetSaga", pb.GetSagaRequest(saga_id="a")))
        assert (refused.code, refused.reason) == ("DATA_LOSS", "BROKEN_LOG")
        assert (await _watch(s, "a")).code == "DATA_LOSS"
        await s.begin("b", wait=LONG)


async def test_a_mistake_of_ours_is_internal_and_told_without_its_details() -> None:
    """The caller learns that the log says how; the coordinator goes on."""
    async with service() as s:
        with quiet_log():
            s.runtime.store.list_rows = None  # type: ignore[method-assign, assignment]
            refused = await failure(s.call("ListSagas", pb.ListSagasRequest()))
        assert (refused.code, refused.reason) == ("INTERNAL", "INTERNAL")
        assert "NoneType" not in refused.message
        await s.begin("a", wait=LONG)


async def test_a_mistake_of_ours_leaves_no_start_without_an_answer() -> None:
    """Of the first start of a definition, which waits for its participants, and of those that follow."""
    async with service() as s:
        with quiet_log():
            s.runtime.start = None  # type: ignore[method-assign, assignment]
            refused = [await failure(s.begin(saga_id)) for saga_id in ("a", "b")]
        assert [each.code for each in refused] == ["INTERNAL", "INTERNAL"]


async def test_a_participant_whose_description_is_garbage_is_no_obstacle() -> None:
    """It is called all the same: a description is a courtesy."""
    async with service() as s:
        s.shop.garbage = True
        await s.begin("a", wait=LONG)


# However much is wrong, the client can read it


async def test_a_thousand_faults_fit_into_an_answer() -> None:
    """As many as fit are told, and how many more there are; a longer answer would not arrive at all."""
    async with service() as s:
        broken = definition(*(f"not an id {number}" for number in range(1_000)))
        refused = await failure(s.call("RegisterDefinition", pb.RegisterDefinitionRequest(definition=broken)))
        assert refused.code == "INVALID_ARGUMENT"
        assert refused.fields[0] == "definition.steps[0].name"
        assert "more" in refused.bad_request.field_violations[-1].description


@pytest.mark.parametrize("letter", ["x", "ä", "🐌"])
async def test_a_fault_as_long_as_a_book_fits_into_an_answer(letter: str) -> None:
    """What the client sent is not sent back whole, in any script."""
    async with service() as s:
        s.shop.script["reserve"] = HOLD
        await s.begin("a")
        request = pb.ResolveStepRequest(
            saga_id="a", step=letter * 1_000_000, resolution="SUCCEEDED", reason="seen"
        )
        assert (await failure(s.call("ResolveStep", request))).fields == ["step"]
        inputs = {letter * 100_000 + str(number): text("x") for number in range(10)}
        assert (await failure(s.begin("b", step_inputs=inputs))).code == "INVALID_ARGUMENT"
        s.shop.answer(SUCCEEDED)
