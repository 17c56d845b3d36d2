"""The interface of a depot, as a company publishes it that never heard of Amends, in two releases.

What is put there under a key is there once, however often it is asked for; what is taken is put there no
more. The second release spells some fields differently. Their numbers stay, so a depot of either release
understands callers of both, but an expression that was written for one fits the other no more.
"""

from functools import cache
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2 as d
from google.protobuf import descriptor_pool, message_factory

SERVICE = "depot.v1.Depot"

DONE, NEVER, LATER = 0, 1, 2
"""What the depot answers, in its own words."""


class Spelling(NamedTuple):
    """The names of fields that releases spell differently."""

    mood: str
    ticket: str


SPELLINGS = {1: Spelling("mood", "ticket"), 2: Spelling("wishes", "receipt")}
"""By release."""

_METHODS = (
    ("Put", "PutRequest", "Deposit"),
    ("Take", "TakeRequest", "Taken"),
    ("Cancel", "PutRequest", "Taken"),
)
"""Each with what it takes and gives. Two undo a Put: as the caller says, or by the request of the Put."""


@cache
def files(release: int) -> d.FileDescriptorSet:
    """Describes a release."""
    spelling = SPELLINGS[release]
    file = d.FileDescriptorProto(name="depot.proto", package="depot.v1", syntax="proto3")
    answer = file.enum_type.add(name="Answer")
    for number, name in enumerate(("DONE", "NEVER", "LATER")):
        answer.value.add(name=name, number=number)
    _add_message(file, "PutRequest", "key", spelling.mood, "after", "odd")
    _add_message(file, "TakeRequest", "key", spelling.ticket, spelling.mood)
    _add_state(_add_message(file, "Deposit", spelling.ticket))
    _add_state(_add_message(file, "Taken", "key"))
    _add_moods(_add_message(file, "Order", "odd"))
    service = file.service.add(name="Depot")
    for name, takes, gives in _METHODS:
        service.method.add(name=name, input_type=f".depot.v1.{takes}", output_type=f".depot.v1.{gives}")
    return d.FileDescriptorSet(file=[file])


@cache
def pool(release: int) -> descriptor_pool.DescriptorPool:
    """What a release knows."""
    found = descriptor_pool.DescriptorPool()
    for file in files(release).file:
        found.Add(file)
    return found


@cache
def kind(name: str) -> Any:
    """The class of a message, as the first release spells it."""
    return message_factory.GetMessageClass(pool(1).FindMessageTypeByName(f"depot.v1.{name}"))


def _add_message(file: d.FileDescriptorProto, name: str, *fields: str) -> d.DescriptorProto:
    message = file.message_type.add(name=name)
    for field in fields:
        _add_field(message, field, d.FieldDescriptorProto.TYPE_STRING)
    return message


def _add_field(message: d.DescriptorProto, name: str, kind: "d.FieldDescriptorProto.Type.ValueType") -> Any:
    label = d.FieldDescriptorProto.LABEL_OPTIONAL
    return message.field.add(name=name, number=len(message.field) + 1, label=label, type=kind)


def _add_state(message: d.DescriptorProto) -> None:
    field = _add_field(message, "state", d.FieldDescriptorProto.TYPE_ENUM)
    field.type_name = ".depot.v1.Answer"


def _add_moods(message: d.DescriptorProto) -> None:
    entry = message.nested_type.add(name="MoodsEntry")
    entry.options.map_entry = True
    for name in ("key", "value"):
        _add_field(entry, name, d.FieldDescriptorProto.TYPE_STRING)
    field = _add_field(message, "moods", d.FieldDescriptorProto.TYPE_MESSAGE)
    field.label, field.type_name = d.FieldDescriptorProto.LABEL_REPEATED, ".depot.v1.Order.MoodsEntry"
