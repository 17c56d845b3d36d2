"""What a real service is sent by a saga that calls its plain methods, and what is kept of its types."""

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format, struct_pb2

from amends.v1 import coordinator_pb2, saga_pb2
from tests.bindings.conftest import Releases, Stage, fault, opened_stage, step_of
from tests.bindings.trips import (
    as_json,
    confirm,
    desk_step,
    hold_room,
    only,
    participant_step,
    rule,
    trip,
    try_and_undo,
    wanted,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

State = saga_pb2.Saga.State


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> AsyncIterator[Stage]:
    """One stage for all of these tests; each has sagas of its own."""
    async with opened_stage(tmp_path_factory.mktemp("requests"), releases) as stage:
        await stage.start_all()
        yield stage


async def test_a_request_is_made_of_two_earlier_results_and_the_input(stage: Stage) -> None:
    """One is a participant's, in JSON; the other a response: enums, nesting, numbers and times arrive."""
    release = stage.releases.first
    customer = wanted(release, wishes=["QUIET", "SEA_VIEW"])
    saga = await stage.run(trip(), customer, "made")
    assert saga.state == State.COMPLETED
    assert stage.request("HoldRoom", "HoldRoomRequest", "made") == release.message(
        "HoldRoomRequest", reference="made", guest=customer.guest, house="Grand", arrival=customer.arrival,
        nights=2, wishes=["QUIET", "SEA_VIEW"],
    )  # fmt: skip
    hold = stage.releases.first.unpacked(step_of(saga, "hold-room").result, "Hold")
    assert list(hold.extras) == ["quiet", "sea_view"]
    assert stage.request("ConfirmStay", "ConfirmStayRequest", "made") == release.message(
        "ConfirmStayRequest", hold_id=hold.hold_id, charge_to="cc-7", cents=24_000, note="for trip", keys=2
    )
    assert (stage.holds("made"), stage.stays("made"), stage.approvals("made")) == ([False], [False], [1])


async def test_an_input_of_json_is_read_as_the_declared_type(stage: Stage) -> None:
    """An optional field that is set is seen as set. What is logged is the JSON that was sent."""
    sent = as_json(note="late arrival", wishes=["SEA_VIEW"])
    saga = await stage.run(trip(), sent, "json")
    assert saga.state == State.COMPLETED
    assert saga.input.Is(struct_pb2.Struct.DESCRIPTOR)
    customer, hold = wanted(stage.releases.first), stage.request("HoldRoom", "HoldRoomRequest", "json")
    assert (hold.guest, hold.arrival, hold.nights) == (customer.guest, customer.arrival, customer.nights)
    assert list(hold.wishes) == [2]
    assert stage.request("ConfirmStay", "ConfirmStayRequest", "json").note == "late arrival"


async def test_json_may_stay_json(stage: Stage) -> None:
    """Declared as a Struct, or not declared at all: numbers are doubles, which the expression converts."""
    step = hold_room("HoldRoomRequest{reference: saga.id, house: input.house, nights: uint(input.nights)}")
    for saga_id, input_type in (("struct", "google.protobuf.Struct"), ("undeclared", "")):
        saga = await stage.run(only(step, input_type), as_json(), saga_id)
        assert saga.state == State.COMPLETED
        assert saga.input.Is(struct_pb2.Struct.DESCRIPTOR)
        assert stage.request("HoldRoom", "HoldRoomRequest", saga_id).nights == 2


async def test_an_int64_beyond_what_a_double_holds_arrives_exactly(stage: Stage) -> None:
    """From one message into the next."""
    saga = await stage.run(trip(), wanted(stage.releases.first, house="Imperial"), "exact")
    assert saga.state == State.COMPLETED
    assert stage.request("ConfirmStay", "ConfirmStayRequest", "exact").cents == 2**53 + 1


async def test_a_uint64_above_all_int64_arrives_exactly(stage: Stage) -> None:
    """A look-up needs no compensation, and takes a message without fields where nothing is said."""
    count = try_and_undo(desk_step("count"), "CountRooms", "")
    count.effect_free = True
    use = try_and_undo(
        desk_step("use", "count"), "ConfirmStay", "ConfirmStayRequest{keys: results.count.free}"
    )
    use.kind = saga_pb2.Step.PIVOT
    saga = await stage.run(saga_pb2.Definition(name="rooms", steps=[count, use]), as_json(), "count")
    assert saga.state == State.COMPLETED
    assert stage.calls("CountRooms", "count")[0].request == b""
    assert stage.request("ConfirmStay", "ConfirmStayRequest", "count").keys == 2**63 + 5


async def test_an_input_of_the_methods_own_type_needs_no_expression(stage: Stage) -> None:
    """A Try gets the input as it is."""
    release = stage.releases.first
    customer = release.message("HoldRoomRequest", reference="as-it-is", house="Grand", nights=1)
    saga = await stage.run(only(hold_room(""), "grand.hotel.v1.HoldRoomRequest"), customer, "as-it-is")
    assert saga.state == State.COMPLETED
    assert stage.request("HoldRoom", "HoldRoomRequest", "as-it-is") == customer


async def test_a_method_that_takes_a_message_without_fields_needs_no_input(stage: Stage) -> None:
    """Neither an expression nor anything from whoever starts the saga."""
    count = try_and_undo(desk_step("count"), "CountRooms", "")
    count.effect_free = True
    request = coordinator_pb2.StartSagaRequest(saga_id="no-input", definition=only(count, ""))
    request.wait.FromSeconds(30)
    saga = await stage.coordinator.StartSaga(request)
    assert (saga.state, saga.HasField("input")) == (State.COMPLETED, False)
    (call,) = stage.calls("CountRooms", "no-input")
    assert call.request == b""


async def test_a_step_without_an_expression_may_have_an_input_of_its_own(stage: Stage) -> None:
    """Instead of the saga's, as any step may."""
    hold = stage.releases.first.message("HoldRoomRequest", reference="own-input", house="Grand", nights=9)
    request = coordinator_pb2.StartSagaRequest(saga_id="own-input", definition=only(hold_room(""), ""))
    request.input.Pack(as_json())
    request.step_inputs["hold-room"].Pack(hold)
    request.wait.FromSeconds(30)
    saga = await stage.coordinator.StartSaga(request)
    assert saga.state == State.COMPLETED
    assert stage.request("HoldRoom", "HoldRoomRequest", "own-input") == hold


async def test_the_call_tells_whose_it_is_in_its_metadata(stage: Stage) -> None:
    """The key is the same in every attempt, and another one backward; the content type is plain gRPC."""
    fault(stage, "HoldRoom", "lost", "busy")
    fault(stage, "ReleaseHold", "lost")
    step = hold_room()
    step.try_outcomes.append(rule("ABORTED", "UNKNOWN"))
    veto = participant_step("veto", "veto")
    definition = saga_pb2.Definition(name="told", steps=[step, veto], input_type="grand.hotel.v1.Trip")
    saga = await stage.run(definition, wanted(stage.releases.first), "told")
    assert saga.state == State.COMPENSATED
    assert stage.holds("told") == [True]  # the service has kept to the keys
    forward, backward = (
        [
            {key: value for key, value in call.metadata.items() if key.startswith(("amends-", "idempotency"))}
            for call in stage.calls(method, "told")
        ]
        for method in ("HoldRoom", "ReleaseHold")
    )
    assert forward == [
        {
            "amends-saga-id": "told", "amends-step": "hold-room", "amends-direction": "forward",
            "amends-attempt": str(attempt), "idempotency-key": "told/hold-room",
        }
        for attempt in (1, 2, 3)
    ]  # fmt: skip
    assert backward == [
        {
            "amends-saga-id": "told", "amends-step": "hold-room", "amends-direction": "backward",
            "amends-attempt": str(attempt), "idempotency-key": "told/hold-room/compensate",
        }
        for attempt in (1, 2)
    ]  # fmt: skip


def looked_up(*actions: str) -> list[saga_pb2.Step]:
    """Steps of the participant, at once, that have no effect."""
    steps = [participant_step(action, action) for action in actions]
    for step in steps:
        step.effect_free = True
        step.needs.SetInParent()
    return steps


async def test_results_of_a_participant_are_of_the_types_that_it_says(stage: Stage) -> None:
    """Fields of a message are checked beforehand; a number of JSON is a number; nothing is nothing."""
    last = confirm(
        """ConfirmStayRequest{
          charge_to: results.estimate.currency_code, cents: results.estimate.units,
          keys: uint(results.count), note: has(input.note) ? results.nothing : "none",
        }"""
    )
    actions = ("estimate", "count", "nothing")
    last.needs.steps.extend(actions)
    definition = saga_pb2.Definition(name="results", steps=[*looked_up(*actions), last])
    saga = await stage.run(definition, as_json(), "results")
    assert saga.state == State.COMPLETED
    sent = stage.request("ConfirmStay", "ConfirmStayRequest", "results")
    assert (sent.charge_to, sent.cents, sent.keys, sent.note) == ("EUR", 2**60, 3, "none")
    last.try_method.request = "ConfirmStayRequest{cents: results.estimate.cents}"
    definition = saga_pb2.Definition(name="results", steps=[*looked_up(*actions), last])
    with pytest.raises(grpc.aio.AioRpcError, match=r"'cents' not found in struct 'google.type.Money'"):
        await stage.register(definition)


DETAILS = """
HoldRoomRequest{
  details: Details{
    labels: {"from": input.house, "by": "amends"},
    counts: {"nights": int(input.nights)},
    nickname: has(input.nickname) ? input.nickname : null,
    age: int(input.age),
    patience: duration(input.patience),
    wishes: input.guest,
    anything: [input.nights, true, null],
    attachment: grand.guests.v1.Guest{name: input.guest.name},
    photo: b"\\xff\\x00",
    height: input.height,
    width: 0.5,
    code: uint(input.age) * 2u,
    offset: -int(input.age),
    loud: input.age > 1.0 && !has(input.quiet),
    floor: 0,
    friends: input.friends.filter(name, name != "Bob").map(name, grand.guests.v1.Guest{name: name}),
  },
}"""


async def test_fields_of_every_type_can_be_written(stage: Stage) -> None:
    """Made of JSON, whose numbers are doubles: maps, wrappers, durations, Any, bytes, and all numbers."""
    sent = as_json(age=36, patience="90s", height=1.75, friends=["Bob", "Carol"])
    saga = await stage.run(only(hold_room(DETAILS), ""), sent, "details")
    assert saga.state == State.COMPLETED
    details = stage.request("HoldRoom", "HoldRoomRequest", "details").details
    assert json_format.MessageToDict(details, descriptor_pool=stage.releases.first.pool) == {
        "labels": {"from": "Grand", "by": "amends"},
        "counts": {"nights": "2"},
        "age": "36",
        "patience": "90s",
        "wishes": {"name": "Ada", "address": {"street": "Byron Row 1", "city": "London"}},
        "anything": [2.0, True, None],
        "attachment": {"@type": "type.googleapis.com/grand.guests.v1.Guest", "name": "Ada"},
        "photo": "/wA=",
        "height": 1.75,
        "width": 0.5,
        "code": 72,
        "offset": "-36",
        "loud": True,
        "floor": 0,
        "friends": [{"name": "Carol"}],
    }


async def test_a_key_can_go_into_the_request(stage: Stage) -> None:
    """For services that take it there: step.idempotency_key, step.name and saga.definition are strings."""
    request = 'HoldRoomRequest{reference: step.idempotency_key, house: saga.definition + "/" + step.name}'
    saga = await stage.run(only(hold_room(request)), wanted(stage.releases.first), "keyed")
    assert saga.state == State.COMPLETED
    sent = stage.request("HoldRoom", "HoldRoomRequest", "keyed")
    assert (sent.reference, sent.house) == ("keyed/hold-room", "only/hold-room")


async def test_results_of_steps_that_are_needed_by_way_of_others_can_be_used(stage: Stage) -> None:
    """A step in between uses nothing of them."""
    count = try_and_undo(desk_step("count", "hold-room"), "CountRooms", "google.protobuf.Empty{}")
    count.effect_free = True
    last = confirm("ConfirmStayRequest{hold_id: results.hold_room.hold_id, keys: results.count.free}")
    last.needs.steps.append("count")
    definition = saga_pb2.Definition(
        name="by-way", steps=[hold_room(), count, last], input_type="grand.hotel.v1.Trip"
    )
    saga = await stage.run(definition, wanted(stage.releases.first), "by-way")
    assert saga.state == State.COMPLETED
    assert stage.stays("by-way") == [False]


# What is kept


async def test_a_definition_keeps_the_descriptors_that_it_needs(stage: Stage) -> None:
    """They are shown with the definition and with the saga, and none but those that it needs."""
    registered = await stage.register(trip(name="kept"))
    assert registered.version == 1
    names = {file.name for file in registered.descriptors.file}
    assert {"grand/hotel/v1/desk.proto", "grand/guests/v1/guests.proto"} <= names
    desk = next(file for file in registered.descriptors.file if file.name == "grand/hotel/v1/desk.proto")
    assert {"HoldRoom", "ConfirmStay"} <= {method.name for method in desk.service[0].method}
    assert "Line" not in {message.name for message in desk.message_type}
    saga = await stage.run("kept", wanted(stage.releases.first), "kept")
    assert saga.state == State.COMPLETED
    assert saga.definition.descriptors == registered.descriptors
    again = await stage.register(trip(name="kept"))
    assert again.version == 1  # the same content


async def test_descriptors_may_come_with_the_definition(stage: Stage) -> None:
    """As protoc writes them, and then nobody is asked."""
    definition = trip(name="sent")
    definition.descriptors.CopyFrom(stage.releases.first.descriptors)
    saga = await stage.run(definition, wanted(stage.releases.first), "sent")
    assert saga.state == State.COMPLETED


async def test_a_list_of_definitions_with_many_descriptors_comes_in_pages_that_any_client_takes(
    stage: Stage,
) -> None:
    """However many were asked for: clients of gRPC take 4 MiB."""
    definition = only(hold_room())
    definition.descriptors.CopyFrom(stage.releases.first.descriptors)
    desk = next(file for file in definition.descriptors.file if file.name.endswith("desk.proto"))
    status = next(message for message in desk.message_type if message.name == "Hold").enum_type[0]
    for number in range(100, 5_900):
        status.value.add(name=f"A_STATE_THAT_NOBODY_NEEDS_{number}", number=number)
    names = {f"large-{number:02}" for number in range(20)}
    for definition.name in sorted(names):
        await stage.register(definition)
    found, pages = set(), 0
    request = coordinator_pb2.ListDefinitionsRequest(page_size=1_000)
    while pages == 0 or request.page_token:
        page = await stage.coordinator.ListDefinitions(request)
        found |= {each.name for each in page.definitions}
        request.page_token, pages = page.next_page_token, pages + 1
    assert (names <= found, pages) == (True, 3)
