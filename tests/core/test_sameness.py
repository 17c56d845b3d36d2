"""P10: what makes a repeated start the same start."""

from dataclasses import replace

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message

from amends_coordinator.core import machine
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.values import Payload
from amends_coordinator.runtime.sameness import difference


def json_payload(message: Message) -> Payload:
    return Payload(f"type.googleapis.com/{message.DESCRIPTOR.full_name}", message.SerializeToString())


def struct(**fields: str) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(fields)
    return made


STEP = Step(name="charge", participant="payments", action="charge")
ORDER = Definition(name="order", steps=(STEP,))
FIRST = SagaStarted(
    definition=ORDER,
    input=Payload("t/a.B", b"12"),
    step_inputs={"charge": Payload("t/a.B", b"34")},
    labels={"shop": "7", "till": "2"},
    deadline=5.0,
    traceparent="00-1",
)

SAME = {
    "the same again": FIRST,
    "another trace": replace(FIRST, traceparent="00-2"),
    "another deadline, since it is another time": replace(FIRST, deadline=9.0),
    "other descriptors, as participants gave them": replace(
        FIRST, definition=replace(ORDER, descriptors=b"\x0a\x00")
    ),
    "labels in another order": replace(FIRST, labels={"till": "2", "shop": "7"}),
}

OTHER = {
    "definition": replace(FIRST, definition=replace(ORDER, timeout=5.0)),
    "input": replace(FIRST, input=Payload("t/a.B", b"13")),
    "set of step inputs": replace(FIRST, step_inputs={}),
    "input of step 'charge'": replace(FIRST, step_inputs={"charge": Payload("t/a.B", b"35")}),
    "set of labels": replace(FIRST, labels={"shop": "8", "till": "2"}),
}


def compare(first: SagaStarted, again: SagaStarted) -> str:
    saga, _ = machine.start("saga", first, 0.0)
    return difference(saga, again)


@pytest.mark.parametrize("again", SAME.values(), ids=SAME)
def test_p10_same_start(again: SagaStarted) -> None:
    """What the client cannot repeat, or what has no order, makes no difference."""
    assert compare(FIRST, again) == ""


@pytest.mark.parametrize(("name", "again"), OTHER.items(), ids=OTHER)
def test_p10_other_content(name: str, again: SagaStarted) -> None:
    """The part that differs is named."""
    assert compare(FIRST, again) == name


@pytest.mark.parametrize(
    "again",
    [
        replace(FIRST, input=None),
        replace(FIRST, input=Payload("t/a.C", b"12")),
        replace(FIRST, input=Payload("t/google.protobuf.Struct", b"12")),
    ],
    ids=["none", "another type", "json instead"],
)
def test_p10_an_input_of_another_kind_is_another_input(again: SagaStarted) -> None:
    """Equal bytes of another type are other content."""
    assert compare(FIRST, again) == "input"


def test_p10_json_is_compared_by_content() -> None:
    """Some languages write the keys of a Struct in another order each time."""
    one, other = struct(a="1"), struct(b="2")
    forwards = one.SerializeToString() + other.SerializeToString()
    backwards = other.SerializeToString() + one.SerializeToString()
    url = "type.googleapis.com/google.protobuf.Struct"
    first = replace(FIRST, input=Payload(url, forwards))
    assert compare(first, replace(first, input=Payload(url, backwards))) == ""
    assert compare(first, replace(first, input=json_payload(one))) == "input"


def test_p10_json_that_cannot_be_read_is_compared_by_its_bytes() -> None:
    """A payload that lies about its type is no reason to fail."""
    first = replace(FIRST, input=Payload("t/google.protobuf.Struct", b"\xff"))
    assert compare(first, first) == ""
    assert compare(first, replace(first, input=Payload("t/google.protobuf.Struct", b"\xfe"))) == "input"


def test_p10_a_definition_by_name_is_the_same_by_its_name() -> None:
    """A version registered meanwhile makes no other start of a repetition."""
    first = replace(FIRST, definition=replace(ORDER, version=1), definition_by_name=True)
    assert compare(first, replace(first, definition=replace(ORDER, version=2, timeout=1.0))) == ""
    assert compare(first, replace(first, definition=replace(ORDER, name="other"))) == "definition"


def test_p10_named_and_sent_inline_are_not_the_same() -> None:
    """Even where the content is equal: the next version would make a difference to one of them only."""
    assert compare(FIRST, replace(FIRST, definition_by_name=True)) == "definition"
