"""What several participants say of their types is put together."""

import pytest
from google.protobuf import descriptor_pb2 as d

from amends._linking import UnusableDescriptorsError
from amends_coordinator.bindings.expressions import Environment
from amends_coordinator.descriptors.keeping import kept
from amends_coordinator.descriptors.merging import merged
from amends_coordinator.descriptors.types import Types
from tests.descriptors import acme


def cut(*methods: str, messages: tuple[str, ...] = (), of: Types | None = None) -> d.FileDescriptorSet:
    """What is kept of files for these methods and messages."""
    types = of or acme.types()
    found = [types.method(path if "/" in path else f"acme.v1.Carrier/{path}") for path in methods]
    known = [types.message(name) for name in messages]
    return kept([each for each in found if each], [each for each in known if each])


def vendor(package: str, file: str = "service.proto", **fields: str) -> Types:
    """A service S with the method Do, of a company with a package, or none, of its own."""
    made = d.FileDescriptorProto(name=file, package=package, syntax="proto3")
    acme.add_message(made, "Req", **(fields or {"id": "string"}))
    name = f".{package}.Req" if package else ".Req"
    made.service.add(name="S").method.add(name="Do", input_type=name, output_type=name)
    return Types(d.FileDescriptorSet(file=[made]))


def rooted(folder: str, *files: d.FileDescriptorProto) -> Types:
    """Files as somebody has them who keeps all of them in a folder."""
    for file in files:
        names = {each.name for each in files}
        file.dependency[:] = [folder + name if name in names else name for name in file.dependency]
    for file in files:
        file.name = folder + file.name
    return Types(d.FileDescriptorSet(file=files))


def together(**said: d.FileDescriptorSet) -> Types:
    return Types(merged(said))


def names(**said: d.FileDescriptorSet) -> list[str]:
    return [file.name for file in merged(said).file]


def known_to_cel(types: Types, *messages: str) -> bool:
    """CEL reads files with more care than Python: what it does not take it does not know."""
    environment = Environment(types, {}, package="")
    for name in messages:
        environment.compile(f"{name}{{}}", types.message(name))
    return True


def test_what_one_participant_says_stays_as_it_is() -> None:
    assert merged({"shop": cut("Book", "Ping")}) == cut("Book", "Ping")


def test_what_two_say_of_the_same_is_there_once() -> None:
    assert merged({"bank": cut("Book", "Ping"), "shop": cut("Book", "Ping")}) == cut("Book", "Ping")


def test_what_two_participants_say_is_put_together() -> None:
    said = {"a": cut("Book"), "b": cut("Cancel", "Ping"), "c": cut("Book", messages=("acme.money.Rate",))}
    (carrier,) = [file for file in merged(said).file if file.service]
    assert "google/protobuf/empty.proto" in carrier.dependency
    types = together(**said)
    assert types.methods("acme.v1.Carrier/Book") == ["Book", "Cancel", "Ping"]
    assert types.message("acme.money.Rate") is not None
    assert known_to_cel(types, "acme.v1.BookRequest", "acme.v1.CancelRequest", "acme.money.Rate")


def test_files_of_two_companies_may_have_the_same_name() -> None:
    said = {"bank": cut("one.S/Do", of=vendor("one")), "shop": cut("two.S/Do", of=vendor("two"))}
    types = together(**said)
    assert types.method("one.S/Do") is not None
    assert types.method("two.S/Do") is not None
    assert names(**said) == ["service.proto", "shop/service.proto"]
    assert known_to_cel(types, "one.Req", "two.Req")


def test_a_file_without_a_package_may_have_the_name_of_one_with_a_package() -> None:
    types = together(bank=cut("S/Do", of=vendor("")), shop=cut("two.S/Do", of=vendor("two")))
    assert types.method("S/Do") is not None
    assert types.method("two.S/Do") is not None


def test_a_file_goes_by_another_name_that_no_file_has() -> None:
    other = vendor("three", "b/service.proto")
    said = {"a": cut("one.S/Do", of=vendor("one")), "b": cut("two.S/Do", of=vendor("two"))}
    assert names(**said, c=cut("three.S/Do", of=other)) == [
        "b/b/service.proto",
        "b/service.proto",
        "service.proto",
    ]


def test_files_that_import_a_file_that_goes_by_another_name_import_that() -> None:
    said = []
    for package in ("one", "two"):
        base = d.FileDescriptorProto(name="base.proto", package=package, syntax="proto3")
        acme.add_message(base, "Money", **{f"cents_{package}": "uint64"})
        above = d.FileDescriptorProto(name="above.proto", package=package, syntax="proto3")
        above.dependency.append("base.proto")
        acme.add_message(above, "Bill", total=f"{package}.Money")
        types = Types(d.FileDescriptorSet(file=[base, above]))
        said.append(cut(messages=(f"{package}.Bill",), of=types))
    types = together(a=said[0], b=said[1])
    for package in ("one", "two"):
        bill = types.message(f"{package}.Bill")
        assert bill is not None
        (field,) = bill.fields_by_name["total"].message_type.fields
        assert field.name == f"cents_{package}"
    assert known_to_cel(types, "one.Bill", "two.Bill")


def test_one_message_may_come_out_of_files_that_are_rooted_differently() -> None:
    deep = rooted("third_party/", acme.carrier_file(), acme.money_file())
    said = {"a": cut("Book"), "b": cut("Cancel", of=deep)}
    types = together(**said)
    assert types.methods("acme.v1.Carrier/Book") == ["Book", "Cancel"]
    assert "third_party/acme/money.proto" not in names(**said)
    assert known_to_cel(types, "acme.v1.Booking", "acme.v1.CancelRequest")


def test_messages_of_one_package_may_be_in_other_files_elsewhere() -> None:
    """The newer release has split a file that the older one has whole, and more was added to that."""
    one = d.FileDescriptorProto(name="m.proto", package="p", syntax="proto3")
    acme.add_message(one, "A", id="string")
    acme.add_message(one, "B", a="p.A")
    acme.add_message(one, "C", b="p.B")
    first = d.FileDescriptorProto(name="m.proto", package="p", syntax="proto3")
    second = d.FileDescriptorProto(name="n.proto", package="p", syntax="proto3", dependency=["m.proto"])
    first.message_type.append(one.message_type[0])
    second.message_type.append(one.message_type[1])
    older = cut(messages=("p.C",), of=Types(d.FileDescriptorSet(file=[one])))
    newer = cut(messages=("p.B",), of=Types(d.FileDescriptorSet(file=[first, second])))
    assert known_to_cel(together(a=newer, b=older), "p.A", "p.B", "p.C")
    assert known_to_cel(together(a=older, b=newer), "p.A", "p.B", "p.C")


def test_the_other_services_of_a_file_stay_in_it() -> None:
    types = Types(d.FileDescriptorSet(file=[two_services()]))
    first = cut("two.Left/Do", "two.Right/Do", of=types)
    types = together(a=first, b=cut("two.Left/Undo", "two.Right/Do", of=types))
    left, right = (types.method(f"two.{name}/Do") for name in ("Left", "Right"))
    assert types.methods("two.Left/Do") == ["Do", "Undo"]
    assert left is not None
    assert right is not None
    assert right.containing_service.file.name == "two.proto"
    assert left.containing_service.file.name == "two.Left.proto"


def two_services() -> d.FileDescriptorProto:
    file = d.FileDescriptorProto(name="two.proto", package="two", syntax="proto3")
    acme.add_message(file, "Req", id="string")
    for name in ("Right", "Left"):
        service = file.service.add(name=name)
        for method in ("Do", "Undo"):
            service.method.add(name=method, input_type=".two.Req", output_type=".two.Req")
    return file


def test_a_file_is_left_out_when_nothing_is_left_in_it() -> None:
    """A service that two describe gets a file of its own, and had one before."""
    money, carrier = acme.money_file(), acme.carrier_file()
    messages = d.FileDescriptorProto()
    messages.CopyFrom(carrier)
    messages.ClearField("service")
    messages.name = "acme/messages.proto"
    del carrier.message_type[:]
    carrier.dependency.append("acme/messages.proto")
    apart = Types(d.FileDescriptorSet(file=[money, messages, carrier]))
    said = {"a": cut("Book", of=apart), "b": cut("Cancel", of=apart)}
    assert "acme/carrier.proto" not in names(**said)
    assert together(**said).methods("acme.v1.Carrier/Book") == ["Book", "Cancel"]


def test_an_enum_may_be_described_twice() -> None:
    file = d.FileDescriptorProto(name="e.proto", package="e", syntax="proto3")
    file.enum_type.add(name="E").value.add(name="NONE", number=0)
    acme.add_message(file, "M", e="enum e.E")
    acme.add_message(file, "N", e="enum e.E")
    types = Types(d.FileDescriptorSet(file=[file]))
    both = together(a=cut(messages=("e.M",), of=types), b=cut(messages=("e.N",), of=types))
    assert known_to_cel(both, "e.M", "e.N")


def test_participants_that_contradict_each_other_are_told() -> None:
    other = cut("Book")
    other.file[0].message_type[0].field[0].number = 9
    why = r"^participants 'bank' and 'shop' describe acme.v1.Order differently$"
    with pytest.raises(UnusableDescriptorsError, match=why):
        merged({"bank": cut("Book"), "shop": other})


def test_a_method_that_two_describe_differently_is_told() -> None:
    other = cut("Ping", "Book")
    other.file[0].service[0].method[1].input_type = ".acme.v1.Order"
    with pytest.raises(UnusableDescriptorsError, match=r"describe acme.v1.Carrier/Ping differently"):
        merged({"bank": cut("Ping"), "shop": other})


@pytest.mark.parametrize("syntax", ["proto2", "editions"])
def test_a_message_that_is_read_otherwise_is_another(syntax: str) -> None:
    """Its text is the same, and its file says that it is read by other rules."""
    other = acme.money_file()
    other.syntax = syntax
    if syntax == "editions":
        other.edition = d.EDITION_2023
    elsewhere = cut(messages=("acme.money.Money",), of=Types(d.FileDescriptorSet(file=[other])))
    with pytest.raises(UnusableDescriptorsError, match=r"describe acme.money.Money differently"):
        merged({"bank": cut(messages=("acme.money.Money",)), "shop": elsewhere})


def test_a_name_that_is_a_message_here_and_an_enum_there_is_told() -> None:
    file = d.FileDescriptorProto(name="one.Req.proto", package="one", syntax="proto3")
    file.enum_type.add(name="Req").value.add(name="NONE", number=0)
    acme.add_message(file, "M", e="enum one.Req")
    other = cut(messages=("one.M",), of=Types(d.FileDescriptorSet(file=[file])))
    with pytest.raises(UnusableDescriptorsError, match=r"describe one.Req differently"):
        merged({"a": cut("one.S/Do", of=vendor("one")), "b": other})
