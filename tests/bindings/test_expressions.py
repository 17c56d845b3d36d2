"""Expressions: what is refused before there are values, with its place, and what they come to with them."""

import sys
from typing import Any

import pytest
from google.protobuf import json_format

from amends._payload import pack
from amends_coordinator.bindings.expressions import (
    BOOL,
    DYNAMIC,
    STRING,
    Environment,
    Expression,
    FailedExpressionError,
    NoCelError,
    WrongExpressionError,
)
from amends_coordinator.descriptors.types import message_of
from tests.descriptors import acme

VARIABLES = {"input": "acme.v1.Order", "any": DYNAMIC, "saga.id": STRING, "responded": BOOL}


def compile_for(text: str, wanted: str = "acme.v1.BookRequest") -> Expression:
    types = acme.types()
    descriptor = types.message(wanted) if wanted else None
    return Environment(types, VARIABLES, package="acme.v1").compile(text, descriptor)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("BookRequest{", "line 1, column 13: Syntax error"),
        ("BookRequest{\n  nosuch: 1}", "line 2, column 9: undefined field 'nosuch' not found"),
        ("BookRequest{reference: 1}", "line 1, column 22: expected type of field 'reference' is 'string'"),
        ("BookRequest{reference: input.nosuch}", "line 1, column 29: undefined field 'nosuch'"),
        ("nobody", "line 1, column 1: undeclared reference to 'nobody'"),
        ("input", "line 1, column 1: it gives acme.v1.Order, but must give acme.v1.BookRequest"),
        ("'words'", "it gives STRING, but must give acme.v1.BookRequest"),
        ("(" * 100 + "input" + ")" * 100, "recursion limit"),
        ("", "line 1, column 1: Syntax error"),
    ],
)
def test_an_expression_that_cannot_be_right_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(WrongExpressionError) as caught:
        compile_for(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_is_told_in_a_line_that_can_be_read() -> None:
    with pytest.raises(WrongExpressionError) as caught:
        compile_for("BookRequest{reference: " + "input.id + " * 200)
    assert len(str(caught.value)) < 600
    assert "[INVALID_ARGUMENT]" not in str(caught.value)


def test_a_condition_gives_a_bool() -> None:
    with pytest.raises(WrongExpressionError, match="it gives STRING, but must give BOOL"):
        compile_for("saga.id", wanted="")
    assert compile_for("saga.id == 'a'", wanted="").truth({"saga.id": "a"})


def test_messages_are_made_of_values() -> None:
    order = acme.message("acme.v1.Order", id="7")
    made = compile_for("BookRequest{order: input, reference: saga.id}").message(
        {"input": order, "saga.id": "s"}
    )
    assert str(made) == 'order {\n  id: "7"\n}\nreference: "s"\n'


def test_a_message_of_another_pool_is_taken() -> None:
    """Results are read by whoever holds them; types are the same by their names."""
    request = acme.message("acme.v1.BookRequest", reference="r")
    assert compile_for("any").message({"any": request}).DESCRIPTOR.full_name == "acme.v1.BookRequest"


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("any", {"any": "words"}, "it gave a str, but must give a acme.v1.BookRequest"),
        ("any", {"any": acme.message("acme.v1.Order")}, "it gave a acme.v1.Order, but must give"),
        ("BookRequest{reference: any.id}", {"any": {"id": 7}}, "type conversion error"),
        ("BookRequest{reference: any.id}", {"any": {}}, "Key not found in map"),
        ("BookRequest{reference: any.id}", {}, "there is no value of any"),
        ("BookRequest{reference: any}", {"any": object()}, "object"),
        ("BookRequest{order: Order{grams: int(any)}}", {"any": 1 << 40}, "overflow"),
    ],
)
def test_what_comes_to_nothing_says_why(text: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(FailedExpressionError) as caught:
        compile_for(text).message(values)
    assert words in str(caught.value)


def test_a_condition_of_no_known_type_has_to_give_a_bool_all_the_same() -> None:
    with pytest.raises(FailedExpressionError, match="it gave a int, but must give a bool"):
        compile_for("any", wanted="").truth({"any": 3})


def test_an_expression_that_takes_too_long_is_stopped() -> None:
    ten = "[1,2,3,4,5,6,7,8,9,10]"
    nested = "1"
    for name in "abcdefg":
        nested = f"{ten}.map({name}, {nested})"
    with pytest.raises(FailedExpressionError, match="Iteration budget exceeded"):
        compile_for(f"{nested} == [] ", wanted="").truth({})


def test_json_is_made_of_a_map() -> None:
    made = compile_for("{'a': [1, input.id]}", wanted="google.protobuf.Struct")
    document = made.message({"input": acme.message("acme.v1.Order", id="7")})
    assert json_format.MessageToDict(document) == {"a": [1.0, "7"]}
    with pytest.raises(
        FailedExpressionError, match=r"it gave (what is no|a dict, but must give a) google.protobuf.Struct"
    ):
        compile_for("{'a': b'\\xff'}", wanted="google.protobuf.Struct").message({})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("BookRequest{?hint: any.?note}", "n"),
        ("BookRequest{?hint: any.?nothing}", ""),
        ("BookRequest{hint: any.?nothing.orValue('none')}", "none"),
        ("BookRequest{hint: any.note.upperAscii().replace('N', 'm') + 'a,b'.split(',')[1]}", "mb"),
    ],
)
def test_optional_values_and_strings_have_their_extensions(text: str, hint: str) -> None:
    made = compile_for(text).message({"any": {"note": "n"}})
    assert made.SerializeToString() == acme.message("acme.v1.BookRequest", hint=hint).SerializeToString()


def test_an_empty_message_is_made() -> None:
    made = compile_for("google.protobuf.Empty{}", wanted="google.protobuf.Empty").message({})
    types = acme.types()
    empty = types.message("google.protobuf.Empty")
    assert empty is not None
    assert made.DESCRIPTOR.full_name == message_of(empty).DESCRIPTOR.full_name


def test_without_cel_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    with pytest.raises(NoCelError):
        compile_for("input")


@pytest.mark.parametrize(
    ("wanted", "text", "json"),
    [
        ("StringValue", "any", "words"),
        ("StringValue", "'words'", "words"),
        ("BytesValue", "b'words'", "d29yZHM="),
        ("BoolValue", "responded", True),
        ("Int64Value", "3", "3"),
        ("UInt32Value", "3u", 3),
        ("DoubleValue", "1.5", 1.5),
        ("Timestamp", "timestamp('2026-01-31T12:00:00Z')", "2026-01-31T12:00:00Z"),
        ("Duration", "duration('90s')", "90s"),
        ("Value", "[1, 'a']", [1, "a"]),
        ("ListValue", "[1, 'a']", [1, "a"]),
    ],
)
def test_what_cel_takes_for_a_plain_value_is_made_a_message_again(wanted: str, text: str, json: Any) -> None:
    made = compile_for(text, wanted=f"google.protobuf.{wanted}").message({"any": "words", "responded": True})
    assert made.DESCRIPTOR.full_name == f"google.protobuf.{wanted}"
    assert json_format.MessageToDict(made) == json


def test_an_any_is_made_of_any_message() -> None:
    made = compile_for("Order{id: 'a'}", wanted="google.protobuf.Any").message({})
    assert made.SerializeToString() == pack(acme.message("acme.v1.Order", id="a")).SerializeToString()


@pytest.mark.parametrize(
    ("wanted", "text"), [("Int32Value", "any"), ("Timestamp", "any"), ("Any", "any"), ("Duration", "any")]
)
def test_what_makes_no_such_message_is_told(wanted: str, text: str) -> None:
    with pytest.raises(FailedExpressionError, match=r"it gave a str, but must give a google\.protobuf\."):
        compile_for(text, wanted=f"google.protobuf.{wanted}").message({"any": "words"})
