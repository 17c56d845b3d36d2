"""Files that Python's protobuf takes and CEL does not: refused with the reason."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2 as d
from hypothesis import assume, given
from hypothesis import strategies as st

from amends._linking import UnusableDescriptorsError
from amends_coordinator.bindings.expressions import Environment, WrongExpressionError
from amends_coordinator.descriptors.compilable import check_compilable
from amends_coordinator.descriptors.keeping import kept
from amends_coordinator.descriptors.paring import pare
from amends_coordinator.descriptors.types import Types
from tests.descriptors import acme
from tests.fuzz.effort import effort


def add_enum(into: Any, called: str = "Size", **values: int) -> d.EnumDescriptorProto:
    enum: d.EnumDescriptorProto = into.add(name=called)
    for name, number in values.items():
        enum.value.add(name=name, number=number)
    return enum


def add_map(message: d.DescriptorProto, field: str, entry: str, scope: str) -> None:
    made = message.nested_type.add(name=entry)
    made.options.map_entry = True
    for number, name in enumerate(("key", "value"), start=1):
        made.field.add(name=name, number=number, label=1, type=9)
    message.field.add(name=field, number=30, label=3, type=11, type_name=f"{scope}.{entry}")


def add_group(message: d.DescriptorProto, scope: str) -> None:
    message.nested_type.add(name="Inner")
    message.field.add(name="inner", number=31, label=1, type=10, type_name=f"{scope}.Inner")


def add_oneofs(message: d.DescriptorProto, *order: int | None) -> None:
    for index in range(1 + max(each for each in order if each is not None)):
        message.oneof_decl.add(name=f"either{index}")
    for number, index in enumerate(order, start=10):
        message.field.add(name=f"n{number}", number=number, label=1, type=9, oneof_index=index)


def aliased_at_the_top(file: d.FileDescriptorProto) -> None:
    add_enum(file.enum_type, SMALL=0, TINY=0)
    file.message_type[0].field.add(name="s", number=9, label=1, type=14, type_name=".acme.money.Size")


SPOILED: list[tuple[Callable[[d.FileDescriptorProto], object], str]] = [
    (
        aliased_at_the_top,
        "acme.money.Size gives SMALL and TINY the same number, but does not say allow_alias",
    ),
    (
        lambda file: add_enum(file.message_type[0].enum_type, SMALL=0, TINY=0),
        "acme.money.Money.Size gives SMALL and TINY the same number, but does not say allow_alias",
    ),
    (
        lambda file: add_enum(file.message_type[0].enum_type, SIZE_BIG=0, Big=1),
        "acme.money.Money.Size gives SIZE_BIG and Big other numbers, which are alike without its own name",
    ),
    (
        lambda file: add_group(file.message_type[0].nested_type.add(name="Outer"), ".acme.money.Money.Outer"),
        "acme.money.Money.Outer.inner is a group, which proto3 has none of",
    ),
    (
        lambda file: add_oneofs(file.message_type[0], 0, None, 0),
        "acme.money.Money has other fields between those of a oneof",
    ),
    (
        lambda file: add_map(file.message_type[0], "by_day", "Daily", ".acme.money.Money"),
        "acme.money.Money.Daily holds the entries of a map, but is not called ByDayEntry",
    ),
    (
        lambda file: add_enum(file.message_type[0].enum_type, cents=0),
        "acme.money.Money has two things called cents",
    ),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILED)
def test_what_no_compiler_writes_is_refused_with_the_reason(
    spoil: Callable[[d.FileDescriptorProto], object], words: str
) -> None:
    file = acme.money_file()
    spoil(file)
    found = Types(d.FileDescriptorSet(file=[file])).message("acme.money.Money")
    assert found is not None
    with pytest.raises(UnusableDescriptorsError, match=f"^{words}, as no compiler writes it$"):
        kept([], [found])


SYNTAXES = ("proto2", "proto3", "editions")
VALUES = st.lists(st.text("EFAefab_", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)


@st.composite
def odd_files(draw: st.DrawFn) -> d.FileDescriptorProto:
    """A file of a message M, with what may be as compilers write it, or not."""
    file = d.FileDescriptorProto(name="odd.proto", syntax=draw(st.sampled_from(SYNTAXES)))
    file.package = draw(st.sampled_from(["p", ""]))
    if file.syntax == "editions":
        file.edition = d.EDITION_2023
    scope = ".p.M" if file.package else ".M"
    message = acme.add_message(file, "M", id="string")
    values = {name: draw(st.integers(0, number)) for number, name in enumerate(draw(VALUES))}
    within = draw(st.booleans())
    called = draw(st.sampled_from(["E", "E_F", "Ab_", "Kind"]))
    enum = add_enum(message.enum_type if within else file.enum_type, called, **values)
    enum.options.allow_alias = draw(st.booleans())
    enum.options.deprecated_legacy_json_field_conflicts = draw(st.booleans())
    name = f"{scope if within else scope.removesuffix('.M')}.{called}"
    message.field.add(name="kind", number=40, label=1, type=14, type_name=name)
    if draw(st.booleans()):
        entry = draw(st.sampled_from(["FEntry", "AbEntry", "ABEntry"]))
        add_map(message, draw(st.sampled_from(["f", "F", "a_b"])), entry, scope)
    if draw(st.booleans()):
        add_oneofs(message, 0, *draw(st.lists(st.sampled_from([None, 0, 1]), max_size=3)))
    if draw(st.booleans()):
        add_group(message, scope)
    return file


@effort(300)
@given(odd_files())
def test_a_file_is_refused_if_cel_does_not_take_it_and_only_then(file: d.FileDescriptorProto) -> None:
    """CEL says of a file that it does not take no more than that it knows none of the messages."""
    name = "p.M" if file.package else "M"
    pare(file)
    try:
        pool = Types(d.FileDescriptorSet(file=[file]))
    except UnusableDescriptorsError:
        assume(False)  # Python does not take it either
    environment = Environment(pool, {}, package="")
    try:
        environment.compile(f"{name}{{}}", pool.message(name))
        taken = True
    except WrongExpressionError:
        taken = False
    try:
        check_compilable(file)
        refused = False
    except UnusableDescriptorsError:
        refused = True
    assert taken != refused
