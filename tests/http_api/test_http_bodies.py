"""Bodies: what is written can be read again, in the one encoding, and nothing that comes in is a surprise."""

import json

import pytest
from google.protobuf import any_pb2, struct_pb2
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from amends.v1 import coordinator_pb2, saga_pb2
from amends_coordinator.http_api import bodies
from amends_coordinator.runtime.errors import InvalidRequestError
from tests.descriptors import acme

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def packed(message: struct_pb2.Struct | struct_pb2.Value | status_pb2.Status) -> any_pb2.Any:
    payload = any_pb2.Any()
    payload.Pack(message, deterministic=True)
    return payload


def struct(**content: object) -> any_pb2.Any:
    message = struct_pb2.Struct()
    message.update(content)
    return packed(message)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_payloads_come_back_as_the_same_bytes(content: dict[str, object]) -> None:
    """In every place where a message may have one; the message that is written stays as it is."""
    request = coordinator_pb2.StartSagaRequest(input=struct(**content), step_inputs={"a": struct(a=content)})
    before = request.SerializeToString(deterministic=True)
    assert bodies.read(bodies.write(request), coordinator_pb2.StartSagaRequest) == request
    assert request.SerializeToString(deterministic=True) == before


def test_payloads_in_payloads_come_back_as_the_same_bytes() -> None:
    """Though each is bytes to the one around it."""
    inner = struct(**{str(number): number for number in range(50)})
    request = coordinator_pb2.StartSagaRequest(input=packed(status_pb2.Status(code=3, details=[inner])))
    assert bodies.read(bodies.write(request), coordinator_pb2.StartSagaRequest) == request


@pytest.mark.parametrize(
    "payload",
    [
        any_pb2.Any(type_url="type.googleapis.com/shop.v1.Order", value=b"\x08\x01"),
        any_pb2.Any(type_url="type.googleapis.com/google.protobuf.Struct", value=b"\xff"),
        any_pb2.Any(value=b"\x08\x01"),
        packed(struct_pb2.Value(number_value=float("nan"))),
    ],
    ids=["unknown type", "other bytes", "no type", "not a number"],
)
def test_what_the_mapping_cannot_write_is_written_as_bytes(payload: any_pb2.Any) -> None:
    """Wherever it stands."""
    steps = [saga_pb2.StepRun(step="a"), saga_pb2.StepRun(step="b", result=payload)]
    written = bodies.write(saga_pb2.Saga(id="a", input=payload, steps=steps, step_inputs={"s": payload}))
    assert written.count(b'"base64"') == 3


def test_an_answer_is_one_line() -> None:
    """For terminals, and for programs that read lines."""
    written = bodies.write(saga_pb2.Saga(id="a", input=struct(text="one\ntwo")))
    assert written.endswith(b"}\n")
    assert written.count(b"\n") == 1


@given(st.binary() | st.text().map(str.encode) | JSON.map(lambda value: repr(value).encode()))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """As the sender's mistake, never as ours."""
    try:
        bodies.read(b'{"input": ' + body + b"}", coordinator_pb2.StartSagaRequest)
        bodies.read(body, coordinator_pb2.StartSagaRequest)
    except InvalidRequestError:
        pass


def test_a_payload_that_the_sagas_definition_describes_is_written_by_the_mapping() -> None:
    booked = acme.payload(acme.message("acme.v1.Booking", id="b-1", price={"cents": 250}))
    saga = saga_pb2.Saga(id="a", definition=saga_pb2.Definition(descriptors=acme.files()))
    saga.steps.add(step="ship").result.CopyFrom(any_pb2.Any(type_url=booked.type_url, value=booked.value))
    result = json.loads(bodies.write(saga))["steps"][0]["result"]
    assert result == {"@type": booked.type_url, "id": "b-1", "price": {"cents": "250"}}


def test_descriptors_that_are_damaged_describe_nothing() -> None:
    broken = acme.files(acme.carrier_file())
    broken.file[2].package = "another"
    saga = saga_pb2.Saga(id="a", definition=saga_pb2.Definition(descriptors=broken))
    saga.input.type_url = "type.googleapis.com/acme.v1.Order"
    assert json.loads(bodies.write(saga))["input"] == {
        "@type": "type.googleapis.com/acme.v1.Order",
        "base64": "",
    }
