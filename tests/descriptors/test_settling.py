"""Requests come out alike, also where an Any is in them."""

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2

from amends_coordinator.bindings.plan import plan_of
from amends_coordinator.core.definition import MethodCall
from amends_coordinator.core.values import Direction
from amends_coordinator.descriptors.settling import reaches_any, settle
from amends_coordinator.descriptors.types import Types, message_of
from tests.descriptors import acme


def files() -> descriptor_pb2.FileDescriptorSet:
    """The carrier, and a method whose request holds an Any in every way there is."""
    made = acme.files()
    carrier = made.file[0]
    carrier.dependency.append("google/protobuf/any.proto")
    any_type = "google.protobuf.Any"
    extras = acme.add_message(carrier, "Extras", nothing="string")
    _add_map(carrier, extras, "words", 2, "string")
    holder = acme.add_message(
        carrier, "Holder", one=any_type, inner="acme.v1.Holder", extras="acme.v1.Extras"
    )
    several = holder.field.add(name="several", number=4, type=11, type_name=f".{any_type}", label=3)
    assert several.number == 4
    _add_map(carrier, holder, "named", 5, any_type)
    carrier.service[0].method.add(name="Hold", input_type=".acme.v1.Holder", output_type=".acme.v1.Cancelled")
    return made


def _add_map(
    file: descriptor_pb2.FileDescriptorProto,
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: str,
) -> None:
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    if kind == "string":
        entry.field.add(name="value", number=2, type=9, label=1)
    else:
        entry.field.add(name="value", number=2, type=11, type_name=f".{kind}", label=1)
    field = message.field.add(name=name, number=number, type=11, label=3)
    field.type_name = f".{file.package}.{message.name}.{entry.name}"


TYPES = Types(files())


def made(name: str) -> Any:
    descriptor = TYPES.message(name)
    assert descriptor is not None
    return message_of(descriptor)


def scrambled(times: int) -> any_pb2.Any:
    """The same content in one of the orders in which it can be written."""
    parts = []
    for key in "abcd":
        one = made("acme.v1.Extras")
        one.words[key] = key
        parts.append(one.SerializeToString())
    parts = parts[times % 4 :] + parts[: times % 4]
    return any_pb2.Any(type_url="type.googleapis.com/acme.v1.Extras", value=b"".join(parts))


def held(times: int) -> Any:
    holder = made("acme.v1.Holder")
    for place in (holder.one, holder.inner.one, holder.several.add(), holder.named["x"]):
        place.MergeFromString(scrambled(times).SerializeToString())
    return holder


def test_what_is_in_an_any_has_one_encoding() -> None:
    first, second = held(0), held(3)
    assert first.SerializeToString(deterministic=True) != second.SerializeToString(deterministic=True)
    settle(first, TYPES)
    settle(second, TYPES)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_what_nobody_can_read_stays_as_it_is() -> None:
    for payload in (
        any_pb2.Any(type_url="t/other.v1.Thing", value=b"\xff"),
        any_pb2.Any(type_url="t/acme.v1.Order", value=b"\xff"),
    ):
        before = payload.SerializeToString()
        settle(payload, TYPES)
        assert payload.SerializeToString() == before


def test_only_what_can_hold_an_any_is_looked_through() -> None:
    assert reaches_any(TYPES.pool.FindMessageTypeByName("acme.v1.Holder"))
    assert not reaches_any(TYPES.pool.FindMessageTypeByName("acme.v1.BookRequest"))


def test_a_request_with_an_any_comes_out_alike_each_time() -> None:
    text = "Holder{one: Extras{words: {'a': '1', 'b': '2', 'c': '3', 'd': '4', 'e': '5'}}}"
    step = acme.ship(
        try_method=MethodCall("acme.v1.Carrier/Hold", text), compensate_method=None, effect_free=True
    )
    definition = acme.definition(step, input_type="", descriptors=files().SerializeToString())
    plan, saga = plan_of(definition), acme.begun(definition)
    assert len({plan.request(saga, 0, Direction.FORWARD) for _ in range(20)}) == 1
