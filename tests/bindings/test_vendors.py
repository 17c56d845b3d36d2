"""Sagas across services whose interfaces are as interfaces are: old, odd, and like each other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from amends.v1 import saga_pb2
from tests.bindings.conftest import Releases, Stage, opened_stage, step_of
from tests.bindings.trips import as_json
from tests.bindings.vendors import Vendor

pytestmark = pytest.mark.asyncio(loop_scope="module")

State = saga_pb2.Saga.State

SEATS = """
syntax = "proto3";
package air.v1;

service Service {
  rpc Do(Request) returns (Response);
  rpc Undo(Response) returns (Response);
}

message Request { string id = 1; }
message Response { string seat = 1; }
"""

ROOMS = """
syntax = "proto3";
package inn.v1;

service Service {
  rpc Do(Request) returns (Response);
  rpc Undo(Response) returns (Response);
}

message Request { string guest = 1; int32 nights = 2; string seat = 3; }
message Response { int64 room = 1; }
"""

LEGACY = """
syntax = "proto2";
package legacy;

message Order {
  required string number = 1;
  optional int32 copies = 2 [default = 3];
  repeated int32 pages = 3 [packed = true];
  extensions 100 to 200;
}

message Receipt { required string number = 1; optional int32 copies = 2 [default = 7]; }

service Printer {
  rpc Print(Order) returns (Receipt);
  rpc Recall(Receipt) returns (Receipt);
}
"""

POST = """
syntax = "proto3";
package post.v1;

import "google/protobuf/any.proto";

service Post {
  rpc Send(Parcel) returns (Receipt);
  rpc Recall(Receipt) returns (Receipt);
}

message Letter { string text = 1; map<string, int32> stamps = 2; }
message Parcel { string id = 1; google.protobuf.Any content = 2; }
message Receipt { string id = 1; google.protobuf.Any content = 2; }
"""


def take_a_seat(name: str, request: Any, response: Any) -> None:
    """The airline's."""
    response.seat = f"seat of {request.id}" if name == "Do" else request.seat


def take_a_room(name: str, request: Any, response: Any) -> None:
    """The inn's."""
    response.room = 2**53 + 1 if name == "Do" else request.room


def printed(_name: str, request: Any, response: Any) -> None:
    """The printer's, which leaves out what it must not for one number."""
    if request.number != "lost":
        response.number = request.number


def hand_over(_name: str, request: Any, response: Any) -> None:
    """The post's."""
    response.id = request.id
    response.content.CopyFrom(request.content)


class Vendors:
    """All of them, and a coordinator that knows them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        folder = stage.folder
        self.air = Vendor(folder / "air", "service.proto", SEATS, take_a_seat)
        self.inn = Vendor(folder / "inn", "service.proto", ROOMS, take_a_room)
        self.printer = Vendor(folder / "printer", "legacy.proto", LEGACY, printed)
        self.post = Vendor(folder / "post", "post.proto", POST, hand_over)

    async def start(self) -> None:
        """Has everything run."""
        options = []
        for name in ("air", "inn", "printer", "post"):
            address = await getattr(self, name).start()
            options += ["--participant", f"{name}={address}"]
        await self.stage.start_daemon(*options)

    async def stop(self) -> None:
        """Ends the vendors."""
        for vendor in (self.air, self.inn, self.printer, self.post):
            await vendor.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendors(tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> AsyncIterator[Vendors]:
    """One stage for all of these tests; each has sagas of its own."""
    async with opened_stage(tmp_path_factory.mktemp("vendors"), releases) as stage:
        vendors = Vendors(stage)
        try:
            await vendors.start()
            yield vendors
        finally:
            await vendors.stop()


def step(name: str, participant: str, tried: str, tried_by: str, undone: str) -> saga_pb2.Step:
    """A step that is tried twice, and undone by what it was answered."""
    made = saga_pb2.Step(
        name=name,
        participant=participant,
        try_method=saga_pb2.MethodCall(method=tried, request=tried_by),
        compensate_method=saga_pb2.MethodCall(method=undone, request="response"),
    )
    made.retry.max_attempts = 2
    made.retry.initial_backoff.FromMilliseconds(1)
    return made


def seat() -> saga_pb2.Step:
    return step("seat", "air", "air.v1.Service/Do", "Request{id: saga.id}", "air.v1.Service/Undo")


def room() -> saga_pb2.Step:
    request = "Request{guest: saga.id, nights: 2, seat: results.seat.seat}"
    return step("room", "inn", "inn.v1.Service/Do", request, "inn.v1.Service/Undo")


def printing(request: str) -> saga_pb2.Step:
    return step("print", "printer", "legacy.Printer/Print", request, "legacy.Printer/Recall")


def sending(request: str) -> saga_pb2.Step:
    return step("send", "post", "post.v1.Post/Send", request, "post.v1.Post/Recall")


async def test_services_whose_files_have_the_same_name_are_called_by_one_saga(vendors: Vendors) -> None:
    """Both are service.proto, and have a Service with a Request: only their packages differ."""
    definition = saga_pb2.Definition(name="alike", steps=[seat(), room()])
    saga = await vendors.stage.run(definition, as_json(), "alike")
    assert saga.state == State.COMPLETED
    assert vendors.air.asked == [("Do", vendors.air.message("air.v1.Request", id="alike"))]
    request = vendors.inn.message("inn.v1.Request", guest="alike", nights=2, seat="seat of alike")
    assert vendors.inn.asked == [("Do", request)]
    kept = {file.package for file in saga.definition.descriptors.file}
    assert {"air.v1", "inn.v1"} <= kept


async def test_services_whose_files_have_the_same_name_undo_what_they_did(vendors: Vendors) -> None:
    """Registered this time; each gets its own answer back."""
    fails = printing("Order{number: input.nothing}")
    definition = saga_pb2.Definition(name="alike-undone", steps=[seat(), room(), fails])
    await vendors.stage.register(definition)
    saga = await vendors.stage.run("alike-undone", as_json(), "alike-undone")
    assert (saga.state, saga.turn_back.reason) == (State.COMPENSATED, "BINDING_FAILED")
    assert vendors.air.asked[-1] == (
        "Undo",
        vendors.air.message("air.v1.Response", seat="seat of alike-undone"),
    )
    assert vendors.inn.asked[-1] == ("Undo", vendors.inn.message("inn.v1.Response", room=2**53 + 1))


# proto2


async def test_a_required_field_of_proto2_is_written_and_a_default_is_left_to_the_service(
    vendors: Vendors,
) -> None:
    """What is not set is not sent; what is read of an unset field is its default."""
    again = printing('Order{number: "again", copies: results.print.copies, pages: [1, 2]}')
    again.name = "again"
    definition = saga_pb2.Definition(name="printed", steps=[printing("Order{number: saga.id}"), again])
    saga = await vendors.stage.run(definition, as_json(), "printed")
    assert saga.state == State.COMPLETED
    (_, first), (_, second) = vendors.printer.asked[-2:]
    assert (first.number, first.HasField("copies"), first.copies) == ("printed", False, 3)
    assert (second.number, second.copies, list(second.pages)) == ("again", 7, [1, 2])


async def test_a_request_without_a_required_field_is_not_sent(vendors: Vendors) -> None:
    """The field is named, and the saga turns back."""
    asked = len(vendors.printer.asked)
    definition = saga_pb2.Definition(name="incomplete", steps=[printing("Order{copies: 1}")])
    saga = await vendors.stage.run(definition, as_json(), "incomplete")
    assert (saga.state, saga.turn_back.reason) == (State.COMPENSATED, "BINDING_FAILED")
    assert "number" in saga.turn_back.message
    assert len(vendors.printer.asked) == asked


async def test_a_response_without_a_required_field_is_believed_and_not_passed_on(vendors: Vendors) -> None:
    """The service says that it is done. What needs the field is not sent, and an operator is told."""
    veto = printing("Order{number: input.nothing}")
    veto.name = "veto"
    definition = saga_pb2.Definition(name="lost", steps=[printing('Order{number: "lost"}'), veto])
    saga = await vendors.stage.run(definition, as_json(), "lost")
    assert (saga.state, step_of(saga, "print").refusal.reason) == (State.PARKED, "BINDING_FAILED")
    assert "number, which legacy.Receipt requires" in step_of(saga, "print").refusal.message


# Any


async def test_a_message_goes_into_an_any_and_comes_back_as_what_it_is(vendors: Vendors) -> None:
    """CEL packs it and takes it out again; only what the descriptors know of can be read there."""
    pack = 'Parcel{id: saga.id, content: Letter{text: "hello", stamps: {"b": 2, "a": 1}}}'
    read = "Parcel{id: results.send.content.text, content: results.send.content}"
    again = sending(read)
    again.name = "again"
    definition = saga_pb2.Definition(name="packed", steps=[sending(pack), again])
    saga = await vendors.stage.run(definition, as_json(), "packed")
    assert saga.state == State.COMPLETED
    (_, first), (_, second) = vendors.post.asked[-2:]
    assert (second.id, second.content) == ("hello", first.content)
    letter = vendors.post.message("post.v1.Letter")
    assert first.content.Unpack(letter)
    assert letter == vendors.post.message("post.v1.Letter", text="hello", stamps={"a": 1, "b": 2})


async def test_an_any_of_a_type_that_nobody_knows_of_is_passed_on_only_within_its_message(
    vendors: Vendors,
) -> None:
    """An expression that touches it fails, since CEL looks into it at once; the message around it may be
    anything."""
    stranger = vendors.post.message("post.v1.Receipt", id="stranger")
    stranger.content.type_url = "type.googleapis.com/far.away.Thing"
    stranger.content.value = b"\x0a\x01x"
    send = sending("Parcel{id: input.id}")
    send.compensate_method.request = "input"
    veto = printing("Order{number: input.content.name}")
    definition = saga_pb2.Definition(name="strange", steps=[send, veto], input_type="post.v1.Receipt")
    saga = await vendors.stage.run(definition, stranger, "strange")
    assert (saga.state, saga.turn_back.reason) == (State.COMPENSATED, "BINDING_FAILED")
    assert "far.away.Thing" in saga.turn_back.message
    assert vendors.post.asked[-1] == ("Recall", stranger)
