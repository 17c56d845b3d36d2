"""What is wrong with a definition that calls plain methods is told at the door, and nothing of it is kept."""

import asyncio
import re
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf import wrappers_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from amends.v1 import coordinator_pb2, saga_pb2
from tests.bindings.conftest import Releases, Stage, opened_stage
from tests.bindings.mistakes import MISTAKES
from tests.bindings.trips import (
    as_json,
    hold_room,
    only,
    rule,
    trip,
    wanted,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

Definition = saga_pb2.Definition


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> AsyncIterator[Stage]:
    """One daemon for all of these tests: none of them may harm it, and it keeps nothing of theirs."""
    async with opened_stage(tmp_path_factory.mktemp("bad-bindings"), releases) as stage:
        await stage.start_all()
        yield stage
        kept = await stage.coordinator.ListDefinitions(coordinator_pb2.ListDefinitionsRequest())
        assert list(kept.definitions) == []
        sagas = await stage.coordinator.ListSagas(coordinator_pb2.ListSagasRequest())
        assert list(sagas.sagas) == []
        assert (await stage.run(trip(), wanted(releases.first))).state == saga_pb2.Saga.COMPLETED


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_is_named_with_its_place(stage: Stage, name: str) -> None:
    """At registration and at an inline start alike; the description says what is wrong."""
    mistake = MISTAKES[name]
    definition = mistake.make()
    registering = stage.register(definition)
    starting = stage.start(definition, wanted(stage.releases.first), "never")
    for violations in [await refused(registering), await refused(starting)]:
        named = {violation.field: violation.description for violation in violations}
        field = f"definition.{mistake.field}"
        assert field in named
        assert re.search(mistake.words, named[field], re.DOTALL), named


async def test_all_mistakes_in_expressions_are_named_at_once(stage: Stage) -> None:
    """So that nobody has to mend them one after another."""
    definition = trip(confirm_by="ConfirmStayRequest{hold_id: 1}")
    definition.steps[1].try_method.request = "HoldRoomRequest{hotel: 'x'}"
    definition.steps[1].try_outcomes.append(rule("OK", "REJECTED", "response.status"))
    assert {violation.field for violation in await refused(stage.register(definition))} == {
        "definition.steps[1].try_method.request",
        "definition.steps[1].try_outcomes[0].condition",
        "definition.steps[2].try_method.request",
    }


# Descriptors that are sent


async def test_descriptors_that_lack_an_import_do_not_link(stage: Stage) -> None:
    """The file is named, with what it imports."""
    definition = trip()
    definition.descriptors.CopyFrom(stage.releases.first.descriptors)
    left = [file for file in definition.descriptors.file if "guests" not in file.name]
    del definition.descriptors.file[:]
    definition.descriptors.file.extend(left)
    (violation,) = await refused(stage.register(definition))
    assert violation.field == "definition.descriptors"
    assert "grand/guests/v1/guests.proto" in violation.description


async def test_descriptors_that_use_what_nobody_defines_do_not_link(stage: Stage) -> None:
    """The type is named."""
    definition = trip()
    definition.descriptors.CopyFrom(stage.releases.first.descriptors)
    desk = next(file for file in definition.descriptors.file if file.name.endswith("desk.proto"))
    hold = next(message for message in desk.message_type if message.name == "Hold")
    hold.field[2].type_name = ".grand.hotel.v1.Suite"
    (violation,) = await refused(stage.register(definition))
    assert violation.field == "definition.descriptors"
    assert "Suite" in violation.description


async def test_descriptors_without_the_service_do_not_do(stage: Stage) -> None:
    """The participant is not asked where descriptors were sent, so that a definition means one thing."""
    definition = trip()
    guests = [file for file in stage.releases.first.descriptors.file if "desk" not in file.name]
    definition.descriptors.file.extend(guests)
    violations = await refused(stage.register(definition))
    assert violations[0].field == "definition.steps[1].try_method.method"
    assert "FrontDesk" in violations[0].description


async def test_descriptors_that_are_too_large_are_refused(stage: Stage) -> None:
    """What the steps need goes into every saga, so that it must not be large; the limit is told."""
    definition = trip()
    definition.descriptors.CopyFrom(stage.releases.first.descriptors)
    desk = next(file for file in definition.descriptors.file if file.name.endswith("desk.proto"))
    status = next(message for message in desk.message_type if message.name == "Hold").enum_type[0]
    for number in range(100, 10_000):
        status.value.add(name=f"A_STATE_THAT_NOBODY_NEEDS_{number}", number=number)
    (violation,) = await refused(stage.register(definition))
    assert violation.field == "definition.descriptors"
    assert "262144" in violation.description


# Inputs


async def test_an_input_of_another_type_is_not_started(stage: Stage) -> None:
    """Both types are named."""
    (violation,) = await refused(stage.start(trip(), wrappers_pb2.Int32Value(value=5), "never"))
    assert violation.field == "input"
    assert "grand.hotel.v1.Trip" in violation.description
    assert "google.protobuf.Int32Value" in violation.description


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hotel": "Grand"}, "hotel"),
        ({"nights": "many"}, "nights"),
        ({"nights": -1}, "nights"),
        ({"wishes": ["NOISE"]}, "NOISE"),
        ({"arrival": "tomorrow"}, "arrival"),
        ({"guest": 5}, "guest"),
    ],
)
async def test_json_that_is_no_such_message_is_not_started(
    stage: Stage, fields: dict[str, object], words: str
) -> None:
    """The field is named."""
    (violation,) = await refused(stage.start(trip(), as_json(**fields), "never"))
    assert violation.field == "input"
    assert words in violation.description


async def test_bytes_that_are_no_such_message_are_not_started(stage: Stage) -> None:
    """Though their type is named right."""
    request = coordinator_pb2.StartSagaRequest(saga_id="never", definition=trip())
    request.input.type_url = "type.googleapis.com/grand.hotel.v1.Trip"
    request.input.value = b"\xff\xff"
    (violation,) = await refused(stage.coordinator.StartSaga(request))
    assert violation.field == "input"


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (trip(), "must be a grand.hotel.v1.Trip"),
        (only(hold_room(""), ""), "step 'hold-room' calls with it as a grand.hotel.v1.HoldRoomRequest"),
    ],
)
async def test_no_input_is_refused_where_one_is_needed(
    stage: Stage, definition: Definition, words: str
) -> None:
    """By the definition, which says of what type it is, or by a step that makes no request of its own."""
    request = coordinator_pb2.StartSagaRequest(saga_id="never", definition=definition)
    (violation,) = await refused(stage.coordinator.StartSaga(request))
    assert violation.field == "input"
    assert "is missing" in violation.description
    assert words in violation.description


async def test_an_input_that_no_expression_could_read_is_not_started(stage: Stage) -> None:
    """The definition says nothing of it, and neither do the services."""
    (violation,) = await refused(stage.start(only(hold_room(), ""), wanted(stage.releases.first), "never"))
    assert violation.field == "input"
    assert "grand.hotel.v1.Trip" in violation.description
    assert "input_type" in violation.description


async def test_an_input_of_a_step_that_makes_its_own_request_is_not_started(stage: Stage) -> None:
    """Nobody would use it."""
    request = coordinator_pb2.StartSagaRequest(saga_id="never", definition=trip())
    request.input.Pack(wanted(stage.releases.first))
    request.step_inputs["confirm"].Pack(wanted(stage.releases.first))
    (violation,) = await refused(stage.coordinator.StartSaga(request))
    assert (violation.field, "its own request" in violation.description) == ("step_inputs['confirm']", True)


async def test_an_input_of_a_single_step_is_what_its_method_takes(stage: Stage) -> None:
    """Of a step that has no expression."""
    request = coordinator_pb2.StartSagaRequest(saga_id="never", definition=only(hold_room(""), ""))
    request.step_inputs["hold-room"].Pack(wrappers_pb2.Int32Value(value=5))
    (violation,) = await refused(stage.coordinator.StartSaga(request))
    assert violation.field == "step_inputs['hold-room']"
    assert "grand.hotel.v1.HoldRoomRequest" in violation.description


# Services that cannot be asked


async def test_a_service_without_reflection_is_told_apart(
    tmp_path_factory: pytest.TempPathFactory, releases: Releases
) -> None:
    """There are two ways out, and both are named."""
    async with opened_stage(tmp_path_factory.mktemp("no-reflection"), releases) as stage:
        await asyncio.gather(stage.start_desk(reflection="off"), stage.start_budget(), stage.start_daemon())
        violations = await refused(stage.register(trip()))
        assert violations[0].field == "definition.steps[1].participant"
        assert "reflection" in violations[0].description
        assert "descriptors" in violations[0].description
        kept = await stage.coordinator.ListDefinitions(coordinator_pb2.ListDefinitionsRequest())
        assert list(kept.definitions) == []


async def test_a_service_that_is_down_can_be_asked_later(
    tmp_path_factory: pytest.TempPathFactory, releases: Releases
) -> None:
    """Nothing is wrong, and nothing kept: UNAVAILABLE names it. With descriptors nobody has to be asked."""
    async with opened_stage(tmp_path_factory.mktemp("down"), releases) as stage:
        await asyncio.gather(stage.start_budget(), stage.start_daemon())
        for coming in (stage.register(trip()), stage.start(trip(), wanted(releases.first), "never")):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await coming
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "desk" in str(raised.value.details())
            assert stage.desk_address in str(raised.value.details())
        kept = await stage.coordinator.ListDefinitions(coordinator_pb2.ListDefinitionsRequest())
        assert list(kept.definitions) == []
        definition = trip()
        definition.descriptors.CopyFrom(releases.first.descriptors)
        assert (await stage.register(definition)).version == 1
        await stage.start_desk()
        assert (await stage.run("trip", wanted(releases.first))).state == saga_pb2.Saga.COMPLETED


# Helpers


async def refused(call: object) -> list[error_details_pb2.BadRequest.FieldViolation]:
    """The violations with which a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT, raised.value.details()
    status = rpc_status.from_call(raised.value)
    assert status is not None
    found = error_details_pb2.BadRequest()
    assert any(detail.Unpack(found) for detail in status.details)
    return list(found.field_violations)
