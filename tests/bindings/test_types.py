"""Types: files that are linked, payloads that are read by them, and what of the files is kept."""

import math

import pytest
from google.protobuf import descriptor_pb2, struct_pb2

from amends._linking import UnusableDescriptorsError
from amends_coordinator.bindings.keeping import kept, merged
from amends_coordinator.bindings.types import Types, WrongPayloadError, types_of
from amends_coordinator.core.values import Payload
from tests.bindings import acme


def linked(*files: descriptor_pb2.FileDescriptorProto) -> Types:
    return Types(descriptor_pb2.FileDescriptorSet(file=files))


def test_files_come_in_any_order() -> None:
    types = acme.types()
    assert types.message("acme.money.Money") is not None
    assert types.method("acme.v1.Carrier/Book") is not None
    assert types.methods("acme.v1.Carrier/Nope") == sorted(
        ["Book", "Cancel", "Rebook", "Ping", "Note", "Say", "Track", "Send"]
    )


def test_what_is_not_there_is_not_found() -> None:
    types = acme.types()
    assert types.message("acme.v1.Nope") is None
    assert types.method("acme.v1.Carrier/Nope") is None
    assert types.method("acme.v1.Nope/Book") is None
    assert types.methods("acme.v1.Nope/Book") is None


def test_a_missing_import_is_named() -> None:
    with pytest.raises(UnusableDescriptorsError, match=r"acme/carrier.proto imports acme/money.proto, which"):
        linked(acme.carrier_file())


def test_imports_in_a_circle_are_named() -> None:
    one = descriptor_pb2.FileDescriptorProto(name="one.proto", dependency=["two.proto"])
    two = descriptor_pb2.FileDescriptorProto(name="two.proto", dependency=["one.proto"])
    with pytest.raises(UnusableDescriptorsError, match=r"in a circle: one.proto, two.proto"):
        linked(one, two)


def test_a_file_that_contradicts_itself_is_named() -> None:
    file = acme.money_file()
    file.message_type.add(name="Money")
    with pytest.raises(UnusableDescriptorsError, match=r"acme/money.proto cannot be linked"):
        linked(file)


def test_protobufs_own_files_need_not_be_sent_and_may_be() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="google/protobuf/struct.proto", package="google.protobuf")
    assert linked(file).message("google.protobuf.Struct") is not None


def test_a_payload_of_the_type_is_read() -> None:
    order = acme.types().read(acme.payload(acme.message("acme.v1.Order", id="7")), "acme.v1.Order")
    assert getattr(order, "id") == "7"  # noqa: B009 - a message whose fields nobody knows beforehand


def test_json_is_read_as_the_type() -> None:
    read = acme.types().read(acme.json(order={"id": "7", "grams": 3}), "acme.v1.BookRequest")
    assert str(read) == 'order {\n  id: "7"\n  grams: 3\n}\n'


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (acme.json(nosuch=1), "is no JSON form of acme.v1.Order"),
        (acme.json(grams="many"), "is no JSON form of acme.v1.Order: [^\n]*$"),
        (Payload("t/acme.v1.Order", b"\xff"), "is no acme.v1.Order: its bytes cannot be read as one"),
        (Payload("t/google.protobuf.Struct", b"\xff"), "is no google.protobuf.Struct"),
        (Payload("t/acme.v1.Booking", b""), "is a acme.v1.Booking, but must be a acme.v1.Order"),
        (Payload("", b""), "is a message without a type, but must be a acme.v1.Order"),
    ],
)
def test_what_is_not_of_the_type_is_refused(payload: Payload, words: str) -> None:
    with pytest.raises(WrongPayloadError, match=words):
        acme.types().read(payload, "acme.v1.Order")


KINDS = (".google.protobuf.Any", ".google.protobuf.Int32Value", ".google.protobuf.Value")


def parcel() -> Types:
    """A message of what protobuf itself reads from JSON."""
    files = ["google/protobuf/any.proto", "google/protobuf/wrappers.proto", "google/protobuf/struct.proto"]
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3", dependency=files)
    message = file.message_type.add(name="Parcel")
    for number, (name, kind) in enumerate(zip(("any", "number", "value"), KINDS, strict=True), start=1):
        message.field.add(name=name, number=number, label=1, type=11, type_name=kind)
    message.field.add(name="size", number=9, label=1, type=5)
    return linked(file)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("any", {"@type": 3}, "is no JSON form of p.Parcel: the @type of an Any in it is no text"),
        ("any", {"@type": None}, "is no JSON form of p.Parcel: the @type of an Any in it is no text"),
        (
            "any",
            {"@type": "t/google.protobuf.Int32Value"},
            "it lacks 'value', which is needed beside an @type",
        ),
        ("any", {"@type": "t/other.v1.Thing"}, "is no JSON form of p.Parcel: .*other.v1.Thing"),
        ("any", {"@type": "t/p.Parcel", "size": "x"}, "is no JSON form of p.Parcel"),
        (
            "value",
            math.nan,
            "holds a number that is not finite, which JSON has no form for; write it as text",
        ),
        ("size", math.inf, "holds a number that is not finite"),
        ("size", "9" * 5_000, "is no JSON form of p.Parcel"),
        ("number", {}, "is no JSON form of p.Parcel"),
    ],
)
def test_json_that_protobuf_stumbles_over_is_told_in_a_line(field: str, value: object, words: str) -> None:
    document = struct_pb2.Struct()
    if isinstance(value, float):
        document.fields[field].number_value = value  # what JSON itself could not write
    else:
        document.update({field: value})
    with pytest.raises(WrongPayloadError, match=f"{words}[^\n]*$"):
        parcel().read(acme.payload(document), "p.Parcel")


@pytest.mark.parametrize(
    "kind", ["Int32Value", "BytesValue", "Timestamp", "Duration", "FieldMask", "ListValue"]
)
def test_json_is_an_object_and_some_messages_are_none(kind: str) -> None:
    name = f"google.protobuf.{kind}"
    with pytest.raises(
        WrongPayloadError, match=f"is JSON, of which an object is no {name}; send a {name} itself"
    ):
        parcel().read(acme.json(value=1), name)


def test_a_payload_of_any_type_has_to_be_known() -> None:
    assert acme.types().read(acme.json(a=1)).DESCRIPTOR.full_name == "google.protobuf.Struct"
    for kind in ("other.v1.Thing", ""):
        with pytest.raises(WrongPayloadError, match="of which nothing is known here"):
            acme.types().read(Payload(f"t/{kind}", b""))


# What is kept


def cut(*methods: str, messages: tuple[str, ...] = ()) -> descriptor_pb2.FileDescriptorSet:
    types = acme.types()
    found = [types.method(f"acme.v1.Carrier/{method}") for method in methods]
    known = [types.message(name) for name in messages]
    return kept([each for each in found if each], [each for each in known if each])


def test_what_methods_are_made_of_is_kept_and_nothing_else() -> None:
    money, carrier = sorted(cut("Book").file, key=lambda file: file.name, reverse=True)
    assert [each.name for each in carrier.message_type] == ["Order", "BookRequest", "Booking"]
    assert [each.name for each in carrier.service[0].method] == ["Book"]
    assert [each.name for each in money.message_type] == ["Money"]
    assert list(carrier.dependency) == ["acme/money.proto"]
    assert not carrier.HasField("source_code_info")


def test_what_is_kept_can_be_linked_and_speaks_of_the_same() -> None:
    types = types_of(cut("Book", "Ping", "Note").SerializeToString())
    method = types.method("acme.v1.Carrier/Book")
    assert method is not None
    assert method.output_type.fields_by_name["state"].enum_type.values_by_name["DECLINED"].number == 1
    assert types.method("acme.v1.Carrier/Ping") is not None
    assert types.message("acme.v1.Unrelated") is None


def test_a_message_is_kept_without_a_service() -> None:
    (file,) = cut(messages=("acme.v1.Unrelated", "google.protobuf.Struct")).file
    assert [each.name for each in file.message_type] == ["Unrelated"]
    assert not file.service


def test_an_enum_is_kept_without_a_message() -> None:
    file = acme.money_file()
    colour = file.enum_type.add(name="Colour")
    colour.value.add(name="RED", number=0)
    found = linked(file).enum("acme.money.Colour")
    assert found is not None
    (kept_file,) = kept([], [found]).file
    assert [each.name for each in kept_file.enum_type] == ["Colour"]
    assert not kept_file.message_type


def test_extensions_are_not_kept() -> None:
    file = acme.money_file()
    file.syntax = "proto2"
    file.message_type[0].extension_range.add(start=100, end=200)
    for extending in (file, file.message_type[1]):
        extending.extension.add(
            name="note",
            number=100 if extending is file else 101,
            label=1,
            type=9,
            extendee=".acme.money.Money",
        )
    types = linked(file)
    both = [types.message("acme.money.Money"), types.message("acme.money.Rate")]
    (kept_file,) = kept([], [each for each in both if each]).file
    assert not kept_file.extension
    assert not kept_file.message_type[1].extension


def test_what_two_participants_say_is_put_together() -> None:
    together = merged([cut("Book"), cut("Cancel"), cut("Book", messages=("acme.money.Rate",))])
    types = Types(together)
    assert types.methods("acme.v1.Carrier/Book") == ["Book", "Cancel"]
    assert types.message("acme.money.Rate") is not None


def test_participants_that_contradict_each_other_are_told() -> None:
    other = cut("Book")
    other.file[0].message_type[0].field[0].number = 9
    with pytest.raises(
        UnusableDescriptorsError, match=r"describe Order \(acme.v1, acme/carrier.proto\) differently"
    ):
        merged([cut("Book"), other])
