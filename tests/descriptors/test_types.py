"""Types: files that are linked, payloads that are read by them, and what of the files is kept."""

import math
from pathlib import Path

import google.protobuf
import pytest
from google.protobuf import descriptor_pb2, struct_pb2
from google.protobuf.descriptor import Descriptor

from amends._linking import MAX_FILES, STANDARD_FILES, UnusableDescriptorsError
from amends._linking import linked as link
from amends_coordinator.core.values import Payload
from amends_coordinator.descriptors.keeping import kept
from amends_coordinator.descriptors.types import Types, WrongPayloadError, types_of
from tests.descriptors import acme

PROTOBUF = Path(google.protobuf.__file__).parent


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


def test_what_needs_a_missing_import_is_missed_by_those_alone_who_ask_for_it() -> None:
    types = linked(acme.carrier_file())
    assert types.methods("acme.v1.Carrier/Book") == sorted(["Ping", "Note", "Say"])
    assert types.method("acme.v1.Carrier/Ping") is not None
    assert types.message("acme.v1.Order") is not None
    why = r"acme/carrier.proto imports acme/money.proto, which is missing; send all imports along"
    for name in ("acme.v1.Booking", "acme.v1.Booking.State", "acme.money.Money"):
        with pytest.raises(UnusableDescriptorsError, match=why):
            types.message(name)
    for name in ("Book", "Cancel", "Track"):
        with pytest.raises(UnusableDescriptorsError, match=why):
            types.method(f"acme.v1.Carrier/{name}")


def test_what_is_made_of_a_message_that_lacks_an_import_is_lacking_too() -> None:
    depot = descriptor_pb2.FileDescriptorProto(
        name="depot.proto", package="depot", syntax="proto3", dependency=["acme/carrier.proto"]
    )
    acme.add_message(depot, "Shelf", booking="acme.v1.Booking").nested_type.add(name="Board")
    acme.add_message(depot, "Room", board="depot.Shelf.Board")
    acme.add_message(depot, "Floor", order="acme.v1.Order")
    depot.extension.add(name="note", number=1, label=1, type=9, extendee=".acme.v1.Booking")
    for files in ((depot, acme.carrier_file()), (acme.carrier_file(), depot)):
        types = linked(*files)
        assert types.message("depot.Floor") is not None
        for name in ("depot.Shelf", "depot.Shelf.Board", "depot.Room"):
            with pytest.raises(UnusableDescriptorsError, match=r"carrier.proto imports acme/money.proto"):
                types.message(name)


def test_where_all_is_wanted_nothing_may_be_missing() -> None:
    """As of what a saga carries, which makes a whole."""
    with pytest.raises(UnusableDescriptorsError, match=r"carrier.proto imports acme/money.proto, which is"):
        link(descriptor_pb2.FileDescriptorSet(file=[acme.carrier_file()]))


def test_a_file_that_lacks_an_import_and_uses_nothing_of_it_is_whole() -> None:
    file = acme.money_file()
    file.dependency.extend(["google/protobuf/java_features.proto", "acme/options.proto"])
    file.public_dependency.append(1)
    assert linked(file).message("acme.money.Money") is not None


def test_imports_in_a_circle_are_named() -> None:
    one = descriptor_pb2.FileDescriptorProto(name="one.proto", dependency=["two.proto"])
    two = descriptor_pb2.FileDescriptorProto(name="two.proto", dependency=["one.proto"])
    with pytest.raises(UnusableDescriptorsError, match=r"in a circle: .*one.proto imports two.proto"):
        linked(one, two)


def test_not_all_of_a_large_circle_is_told() -> None:
    files = [chained(number, (number + 1) % 100) for number in range(100)]
    with pytest.raises(UnusableDescriptorsError, match=r"in a circle: .*, and so on$") as caught:
        linked(*files)
    assert str(caught.value).count("imports") == 10


def chained(number: int, imported: int | None = None) -> descriptor_pb2.FileDescriptorProto:
    imports = [] if imported is None else [f"{imported}.proto"]
    return descriptor_pb2.FileDescriptorProto(name=f"{number}.proto", dependency=imports)


def test_as_many_files_as_are_taken_are_linked_whatever_their_order() -> None:
    last = acme.money_file()
    last.name = f"{MAX_FILES - 1}.proto"
    types = linked(*(chained(number, number + 1) for number in range(MAX_FILES - 1)), last)
    assert types.message("acme.money.Money") is not None


def test_more_files_are_refused_before_they_are_linked() -> None:
    with pytest.raises(UnusableDescriptorsError, match=r"^there are 2001 files, but may be 2000$"):
        linked(*(chained(number) for number in range(MAX_FILES + 1)))


def test_a_file_may_be_there_twice_if_it_is_the_same() -> None:
    types = linked(acme.money_file(), acme.money_file())
    assert types.message("acme.money.Money") is not None
    other = acme.money_file()
    other.message_type[0].field[0].number = 9
    with pytest.raises(
        UnusableDescriptorsError, match=r"^acme/money.proto is there twice, and not the same$"
    ):
        linked(acme.money_file(), other)


def test_a_file_has_a_name() -> None:
    with pytest.raises(UnusableDescriptorsError, match=r"^there is a file without a name$"):
        linked(descriptor_pb2.FileDescriptorProto())


@pytest.mark.parametrize("where", ["package", "message", "nested", "service"])
def test_a_full_name_has_a_bound(where: str) -> None:
    """Every name within begins with it, so that few bytes would become many."""
    file = acme.money_file()
    match where:
        case "package":
            file.package = "p" * 600
        case "message":
            file.message_type.add(name="M" * 600)
        case "nested":
            nested = file.message_type.add(name="M" * 300).nested_type
            nested.add(name="Fits")
            nested.add(name="N" * 300)
        case _:
            file.service.add(name="S" * 600)
    with pytest.raises(UnusableDescriptorsError, match=r"has a name of 6\d\d characters, but may have 512$"):
        linked(file)


def test_of_a_name_that_is_too_long_the_beginning_is_told() -> None:
    with pytest.raises(UnusableDescriptorsError) as caught:
        linked(*[descriptor_pb2.FileDescriptorProto(name="n" * 100_000, package=each) for each in "ab"])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("place", ["name", "dependency", "package", "json_name", "default_value", "option"])
def test_a_text_that_is_no_utf_8_is_told(place: str) -> None:
    file = acme.money_file()
    file.syntax, field = "proto2", file.message_type[0].field[1]
    match place:
        case "name":
            file.name = "a-text"
        case "dependency":
            file.dependency.append("a-text")
        case "option":
            file.options.go_package = "a-text"
        case "package":
            file.package = "a-text"
        case _:
            setattr(field, place, "a-text")
    wrong = file.SerializeToString().replace(b"a-text", b"a\xfftext")
    with pytest.raises(
        UnusableDescriptorsError, match=r"^(acme/money.proto|b'a\\xfftext') has a text that is no"
    ):
        linked(descriptor_pb2.FileDescriptorProto.FromString(wrong))


def test_all_files_of_protobuf_itself_are_there() -> None:
    """Those that its Python package has, as modules, in every release that is taken."""
    shipped = {
        f"google/protobuf/{path.relative_to(PROTOBUF).as_posix().removesuffix('_pb2.py')}.proto"
        for path in PROTOBUF.rglob("*_pb2.py")
    }
    late = {
        "google/protobuf/json_options.proto",
        "google/protobuf/json_enumvalue_options.proto",
    }  # since 7.36
    assert shipped - late == STANDARD_FILES
    types = linked()
    for name in ("Type", "Api", "SourceContext", "Any", "FileDescriptorSet", "compiler.CodeGeneratorRequest"):
        assert types.message(f"google.protobuf.{name}") is not None


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


def test_a_payload_that_needs_a_missing_file_is_not_known() -> None:
    with pytest.raises(WrongPayloadError, match=r"is a acme.v1.Booking, of which nothing is known here"):
        linked(acme.carrier_file()).read(Payload("t/acme.v1.Booking", b""))


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


def test_of_protobufs_own_files_those_are_not_kept_that_every_set_has() -> None:
    """Others may be of its package, and are kept as any."""
    own = descriptor_pb2.FileDescriptorProto(name="own.proto", package="google.protobuf", syntax="proto3")
    acme.add_message(own, "Mine", kind="google.protobuf.Type")
    own.dependency.append("google/protobuf/type.proto")
    found = linked(own).message("google.protobuf.Mine")
    assert found is not None
    (file,) = kept([], [found]).file
    assert [each.name for each in file.message_type] == ["Mine"]
    assert list(file.dependency) == ["google/protobuf/type.proto"]
    assert linked(file).message("google.protobuf.Mine") is not None


def test_what_does_not_decide_how_messages_are_read_is_not_kept() -> None:
    plain, adorned = acme.money_file(), acme.money_file()
    for file in (plain, adorned):
        colour = file.message_type[0].enum_type.add(name="Colour")
        colour.value.add(name="RED", number=0)
    adorned.options.java_package = "com.acme"
    money = adorned.message_type[0]
    money.reserved_range.add(start=50, end=60)
    money.reserved_name.append("gone")
    money.options.deprecated = True
    money.field[1].json_name = "currency"
    money.field[0].options.jstype = descriptor_pb2.FieldOptions.JS_STRING
    money.field[0].options.packed = True  # which only lists are
    money.enum_type[0].reserved_name.append("BLUE")
    money.enum_type[0].value[0].options.deprecated = True
    one, other = (kept([], [_message(linked(file), "acme.money.Money")]) for file in (plain, adorned))
    assert one == other


def test_what_decides_how_messages_are_read_is_kept() -> None:
    file = acme.money_file()
    file.syntax = "proto2"
    note = file.message_type[0].field.add(name="note", number=3, label=3, type=5, json_name="remark")
    note.options.packed = True
    file.message_type[0].field[1].default_value = "EUR"
    old = file.message_type[0].nested_type.add(name="Old")
    old.options.message_set_wire_format = True
    old.extension_range.add(
        start=4, end=5
    ).options.verification = descriptor_pb2.ExtensionRangeOptions.UNVERIFIED
    sizes = file.message_type[0].enum_type.add(name="Size")
    sizes.options.allow_alias = True
    for name in ("SMALL", "TINY"):
        sizes.value.add(name=name, number=1)
    (cut,) = kept([], [_message(linked(file), "acme.money.Money")]).file
    (money,) = cut.message_type
    assert (money.field[1].default_value, money.field[2].json_name) == ("EUR", "remark")
    assert money.field[2].options.packed
    assert money.nested_type[0].options.message_set_wire_format
    assert not money.nested_type[0].extension_range[0].HasField("options")
    assert money.enum_type[0].options.allow_alias
    assert linked(cut).message("acme.money.Money") is not None


def test_what_an_edition_says_of_reading_is_kept_without_what_it_says_to_a_language() -> None:
    file = acme.money_file()
    file.syntax, file.edition = "editions", descriptor_pb2.EDITION_2023
    file.message_type[0].field[0].options.features.field_presence = descriptor_pb2.FeatureSet.IMPLICIT
    java = descriptor_pb2.FeatureSet(enum_type=descriptor_pb2.FeatureSet.CLOSED).SerializeToString()
    file.options.features.MergeFromString(java + b"\xca\x3e\x02\x10\x03")  # field 1001, which is Java's
    (cut,) = kept([], [_message(linked(file), "acme.money.Money")]).file
    assert cut.options.features.SerializeToString() == java
    (field, _) = cut.message_type[0].field
    assert field.options.features.field_presence == descriptor_pb2.FeatureSet.IMPLICIT


def _message(types: Types, name: str) -> Descriptor:
    found = types.message(name)
    assert found is not None
    return found


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
