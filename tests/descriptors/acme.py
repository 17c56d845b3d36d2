"""A service of a company that never heard of Amends, as descriptors that tests can change."""

from typing import Any

from google.protobuf import descriptor_pb2 as d
from google.protobuf import struct_pb2

from amends_coordinator.core import machine
from amends_coordinator.core.definition import Definition, MethodCall, Step
from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Payload
from amends_coordinator.descriptors.types import Types

_TYPES = {
    "string": d.FieldDescriptorProto.TYPE_STRING,
    "int32": d.FieldDescriptorProto.TYPE_INT32,
    "uint64": d.FieldDescriptorProto.TYPE_UINT64,
    "bytes": d.FieldDescriptorProto.TYPE_BYTES,
}

PREFIX = "type.googleapis.com/"


def add_message(file: d.FileDescriptorProto, called: str, /, **fields: str) -> d.DescriptorProto:
    """Adds a message: its fields in order, each a scalar, `enum` and its name, or the name of a message."""
    message = file.message_type.add(name=called)
    for number, (field, kind) in enumerate(fields.items(), start=1):
        made = message.field.add(name=field, number=number, label=d.FieldDescriptorProto.LABEL_OPTIONAL)
        if kind in _TYPES:
            made.type = _TYPES[kind]
        elif kind.startswith("enum "):
            made.type, made.type_name = d.FieldDescriptorProto.TYPE_ENUM, f".{kind.removeprefix('enum ')}"
        else:
            made.type, made.type_name = d.FieldDescriptorProto.TYPE_MESSAGE, f".{kind}"
    return message


def money_file() -> d.FileDescriptorProto:
    """What the carrier imports."""
    file = d.FileDescriptorProto(name="acme/money.proto", package="acme.money", syntax="proto3")
    add_message(file, "Money", cents="uint64", currency="string")
    add_message(file, "Rate", per_cent="int32")
    return file


def carrier_file() -> d.FileDescriptorProto:
    """The carrier."""
    file = d.FileDescriptorProto(
        name="acme/carrier.proto",
        package="acme.v1",
        syntax="proto3",
        dependency=["acme/money.proto", "google/protobuf/empty.proto", "google/protobuf/struct.proto"],
    )
    add_message(file, "Order", id="string", address="string", grams="int32")
    add_message(file, "BookRequest", order="acme.v1.Order", reference="string", hint="string")
    booking = add_message(
        file, "Booking", id="string", price="acme.money.Money", state="enum acme.v1.Booking.State"
    )
    state = booking.enum_type.add(name="State")
    state.value.add(name="BOOKED", number=0)
    state.value.add(name="DECLINED", number=1)
    add_message(file, "CancelRequest", booking_id="string", fee="acme.money.Money")
    add_message(file, "Cancelled")
    add_message(file, "Unrelated", name="string")
    file.source_code_info.location.add(path=[4, 0], span=[1, 2, 3], leading_comments="words")
    service = file.service.add(name="Carrier")
    for name, takes, gives in (
        ("Book", "acme.v1.BookRequest", "acme.v1.Booking"),
        ("Cancel", "acme.v1.CancelRequest", "acme.v1.Cancelled"),
        ("Rebook", "acme.v1.BookRequest", "acme.v1.Booking"),
        ("Ping", "google.protobuf.Empty", "google.protobuf.Empty"),
        ("Note", "google.protobuf.Struct", "google.protobuf.Struct"),
        ("Say", "google.protobuf.StringValue", "google.protobuf.Empty"),
    ):
        service.method.add(name=name, input_type=f".{takes}", output_type=f".{gives}")
    service.method.add(
        name="Track", input_type=".acme.v1.Order", output_type=".acme.v1.Booking", server_streaming=True
    )
    service.method.add(
        name="Send", input_type=".acme.v1.Order", output_type=".acme.v1.Booking", client_streaming=True
    )
    file.dependency.append("google/protobuf/wrappers.proto")
    return file


def files(*more: d.FileDescriptorProto) -> d.FileDescriptorSet:
    """The carrier and what it imports, and more; the first is what imports the second."""
    return d.FileDescriptorSet(file=[carrier_file(), money_file(), *more])


def types() -> Types:
    """The carrier's types."""
    return Types(files())


def message(name: str, **fields: Any) -> Any:
    """A message of the carrier."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(types().pool.FindMessageTypeByName(name))(**fields)


def payload(made: Any) -> Payload:
    """A message as sagas carry it."""
    return Payload(PREFIX + made.DESCRIPTOR.full_name, made.SerializeToString())


def json(**fields: Any) -> Payload:
    """JSON as sagas carry it."""
    made = struct_pb2.Struct()
    made.update(fields)
    return payload(made)


BOOK = MethodCall("acme.v1.Carrier/Book", "BookRequest{order: input, reference: saga.id}")
CANCEL = MethodCall("acme.v1.Carrier/Cancel", "CancelRequest{booking_id: response.id}")


def ship(name: str = "ship", **fields: Any) -> Step:
    """A step that books with the carrier."""
    fields = {"try_method": BOOK, "compensate_method": CANCEL, **fields}
    return Step(name=name, participant="carrier", **fields)


def definition(*steps: Step, **fields: Any) -> Definition:
    """A definition with the carrier's descriptors, whose input is an order unless said otherwise."""
    fields = {"input_type": "acme.v1.Order", "descriptors": files().SerializeToString(), **fields}
    return Definition(name="order", steps=steps or (ship(),), **fields)


def begun(made: Definition, given: Payload | None = None, **own: Payload) -> Saga:
    """A saga that has just begun."""
    fact = SagaStarted(definition=made, input=given, step_inputs=own, labels={})
    saga, _ = machine.start("saga-1", fact, 0.0)
    return saga
