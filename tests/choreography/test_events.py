"""How an event is named, and how it travels: CloudEvents 1.0 in binary mode, both ways."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from google.protobuf import any_pb2, struct_pb2
from google.protobuf.wrappers_pb2 import StringValue

from amends import _payload
from amends._bus.interface import Message
from amends._choreography.cloudevent import MalformedEventError, read_message, reference_of, saga_id_of
from amends._choreography.types import family_of, name_of, name_of_value
from amends.choreography import CloudEvent, JsonEvent, event
from amends.errors import HandlerError
from tests.choreography.foreign import as_json, with_headers


@event("shop.v2.OrderPlaced")
@dataclass
class OrderPlaced:
    sku: str = ""


class Inherited(OrderPlaced):
    pass


WHOLE = CloudEvent(
    id="17",
    source="orders",
    type="shop.v2.OrderPlaced",
    saga_id="Bestellung Nº7",
    payload=_payload.pack(OrderPlaced("tea")),
    time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp(),
    cause="web/16",
    step="place",
    outcome="succeeded",
    replay_of="inventory/web/3",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("OrderPlaced", "OrderPlaced"),
        ("shop.OrderPlaced", "shop.OrderPlaced"),
        ("shop.v1.OrderPlaced", "shop.OrderPlaced"),
        ("shop.v12.orders.OrderPlaced", "shop.orders.OrderPlaced"),
        ("shop.v0.OrderPlaced", "shop.v0.OrderPlaced"),
        ("shop.v1beta1.OrderPlaced", "shop.v1beta1.OrderPlaced"),
        ("shop.v1", "shop.v1"),
    ],
)
def test_a_family_is_a_name_without_its_version(name: str, family: str) -> None:
    assert family_of(name) == family


def test_classes_have_names_as_events() -> None:
    assert name_of(OrderPlaced) == "shop.v2.OrderPlaced"
    assert name_of(StringValue) == "google.protobuf.StringValue"
    assert name_of("shop.v1.Noted") == "shop.v1.Noted"
    assert name_of_value(JsonEvent("shop.v1.Noted", {"a": 1})) == "shop.v1.Noted"


def test_a_name_is_not_inherited() -> None:
    assert name_of(Inherited) == "Inherited"


@pytest.mark.parametrize("kind", [dict, list, int, str, type(None), object])
def test_what_has_no_name_is_no_event(kind: type) -> None:
    with pytest.raises(HandlerError, match="has no name as an event"):
        name_of(kind)


def test_an_event_travels_whole() -> None:
    assert read_message(WHOLE.to_message()) == WHOLE


def test_headers_are_those_of_the_binary_mode() -> None:
    message = WHOLE.to_message()
    assert message.headers == {
        "ce-specversion": "1.0",
        "ce-id": "17",
        "ce-source": "orders",
        "ce-type": "shop.v2.OrderPlaced",
        "ce-time": "2026-01-02T03:04:05Z",
        "ce-dataschema": "https://type.googleapis.com/google.protobuf.Struct",
        "ce-correlationid": "Bestellung%20N%C2%BA7",
        "ce-causationid": "web/16",
        "ce-sagastep": "place",
        "ce-sagaoutcome": "succeeded",
        "ce-replayof": "inventory/web/3",
        "content-type": "application/protobuf",
        "traceparent": WHOLE.traceparent,
    }
    assert (message.id, message.key, message.subject) == ("orders/17", "Bestellung Nº7", "shop.OrderPlaced")


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        # The examples of the HTTP binding, 3.1.3.2.
        ("Euro € \U0001f600", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ('with "quotes" and 100%', "with%20%22quotes%22%20and%20100%25"),
        ("a!#$&'()*+,/:;<=>?@[\\]^`{|}~z", "a!#$&'()*+,/:;<=>?@[\\]^`{|}~z"),
        ("tab\tand\x7f", "tab%09and%7F"),
    ],
)
def test_headers_are_percent_encoded_as_the_http_binding_has_it(text: str, encoded: str) -> None:
    message = replace(WHOLE, cause=text).to_message()
    assert message.headers["ce-causationid"] == encoded
    assert read_message(message).cause == text


def test_what_need_not_be_encoded_may_be() -> None:
    message = with_headers(WHOLE.to_message(), {"ce-type": "shop%2ev2.OrderPlaced"})
    assert read_message(message).type == "shop.v2.OrderPlaced"


@pytest.mark.parametrize("name", ["ce-id", "ce-source", "ce-type"])
def test_an_event_without_a_required_attribute_cannot_be_read(name: str) -> None:
    with pytest.raises(MalformedEventError, match=f"the header {name} is missing"):
        read_message(with_headers(WHOLE.to_message(), {name: None}))


def test_ids_that_are_too_long_to_be_repeated_are_refused_and_still_told_from_each_other() -> None:
    one, other = (with_headers(WHOLE.to_message(), {"ce-id": text * 2_000}) for text in "xy")
    with pytest.raises(MalformedEventError, match="ce-source and ce-id have 2006 characters"):
        read_message(one)
    assert reference_of(one) != reference_of(other)
    assert len(reference_of(one)) < 200


def test_a_message_that_is_no_event_is_known_by_its_name_on_the_bus() -> None:
    message = Message(id="bus-7", key="s", subject="x", headers={}, data=b"")
    assert reference_of(message) == "bus-7"
    assert saga_id_of(message.headers) == ""


@pytest.mark.parametrize("text", ["", "yesterday", "99999-01-01T00:00:00Z"])
def test_a_time_that_cannot_be_read_is_now(text: str) -> None:
    before = WHOLE.time
    assert read_message(with_headers(WHOLE.to_message(), {"ce-time": text})).time > before


def test_a_payload_is_of_the_type_of_its_schema_or_of_its_event() -> None:
    schema = read_message(with_headers(WHOLE.to_message(), {"ce-dataschema": "urn:x/shop.Order"}))
    assert schema.payload.type_url == "type.googleapis.com/shop.Order"
    none = read_message(with_headers(WHOLE.to_message(), {"ce-dataschema": None, "content-type": None}))
    assert none.payload.type_url == "type.googleapis.com/shop.v2.OrderPlaced"


@pytest.mark.parametrize(
    ("value", "type_url"),
    [({"sku": "tea", "pieces": 2}, "google.protobuf.Struct"), ([1, "two", None], "google.protobuf.Value")],
)
def test_json_from_elsewhere_can_be_read(value: object, type_url: str) -> None:
    read = read_message(as_json("s", "shop.v1.OrderPlaced", value))
    assert read.payload.type_url == f"type.googleapis.com/{type_url}"
    assert _payload.unpack(read.payload, type(value)) == value
    assert (read.saga_id, read.source) == ("s", "/elsewhere")


@pytest.mark.parametrize(
    ("content_type", "data", "message"),
    [
        ("application/json", b"{", "says it is application/json, and cannot be parsed"),
        ("application/json", b"\xff", "cannot be parsed"),
        ("text/json", json.dumps([[]]).encode()[:1] * 5_000, "cannot be parsed"),
        ("application/xml", b"<a/>", "the payload is application/xml; it must be"),
    ],
)
def test_a_payload_in_no_form_that_we_know_is_refused(content_type: str, data: bytes, message: str) -> None:
    wrong = with_headers(replace(WHOLE.to_message(), data=data), {"content-type": content_type})
    with pytest.raises(MalformedEventError, match=message):
        read_message(wrong)


def test_a_payload_without_a_type_says_no_schema() -> None:
    bare = replace(WHOLE, payload=any_pb2.Any())
    assert "ce-dataschema" not in bare.to_message().headers


def test_a_json_event_is_a_dict_with_a_name() -> None:
    noted = JsonEvent("shop.v1.Noted", {"a": 1})
    assert noted == {"a": 1}
    assert _payload.pack(noted).Is(struct_pb2.Struct.DESCRIPTOR)
