"""Python values as payloads, and back."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf import any_pb2, struct_pb2, wrappers_pb2

from amends import PayloadError
from amends._payload import pack, type_name, unpack
from amends.v1.participant_pb2 import Rejected


class Size(enum.Enum):
    SMALL = 1


@dataclass
class Line:
    sku: str
    count: int = 1


@dataclass
class Order:
    account: str
    lines: list[Line]
    size: Size = Size.SMALL
    price: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)
    parent: Order | None = None
    tags: tuple[str, ...] = ()


@dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError(f"{self.n} is secret")


ORDER = Order("a", [Line("x", 2)], price=2, notes={"k": 3}, parent=Order("b", []), tags=("t",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ORDER, Order),
        (wrappers_pb2.Int64Value(value=2**60), wrappers_pb2.Int64Value),
        ({"a": [1, 2.5, None, True, {"b": {}}], "c": []}, dict),
        ({"a": 1}, dict[str, int]),
        ({"a": 1}, Any),
        ([1, 2], list[int]),
        ([Line("x")], list[Line]),
        ("text", str),
        (3, int),
        (True, bool),
        (None, None),
        (None, int | None),
        (3, int | None),
        (None, Line | None),
        (None, wrappers_pb2.Int64Value | None),
        (2**53, int),
    ],
)
def test_a_value_comes_back_as_it_went(value: Any, expected: Any) -> None:
    found = unpack(pack(value), expected)
    assert found == value
    assert type(found) is type(value)


def test_whole_numbers_come_back_as_int_and_others_as_float() -> None:
    assert repr(unpack(pack([3.0, 3.5]), list)) == "[3, 3.5]"
    assert repr(unpack(pack(3), float)) == "3.0"


def test_equal_values_make_equal_payloads() -> None:
    assert pack({"a": 1, "b": 2}) == pack({"b": 2, "a": 1})


def test_an_any_is_taken_as_it_is() -> None:
    payload = pack(ORDER)
    assert pack(payload) is payload
    assert unpack(payload, any_pb2.Any) is payload


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"n": 2**53 + 1}, "dict.n: an integer beyond"),
        (float("nan"), "no NaN"),
        ({1: 2}, "only strings as keys, not int"),
        (b"x", "bytes is neither JSON"),
        (Order("a", [Line({1}, 2)]), r"Order.lines\[0\].sku: a set"),  # type: ignore[arg-type]
    ],
)
def test_what_would_not_come_back_is_refused_with_its_place(value: Any, says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        pack(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PayloadError, match="levels deep"):
        pack(endless)


def test_the_deepest_value_allowed_comes_back() -> None:
    value: Any = {}
    for _ in range(31):
        value = {"x": value}
    assert unpack(pack(value), dict) == value


@pytest.mark.parametrize(
    ("value", "expected", "says"),
    [
        ({"account": "a"}, Order, "missing field 'lines' of Order"),
        ({"sku": "a", "extra": 1}, Line, "unknown field 'extra' of Line"),
        ({"sku": 1}, Line, "Line.sku: expected str, found int"),
        ({"sku": "a", "count": 1.5}, Line, "Line.count: expected int, found float"),
        ({"account": "a", "lines": [{}]}, Order, r"Order.lines\[0\]: missing field 'sku'"),
        ({"account": "a", "lines": [], "size": 7}, Order, "Order.size: not a value of Size"),
        ("text", int, "expected int, found str"),
        (True, int, "expected int, found bool"),
        (1, bool, "expected bool, found int"),
        ("text", Line, "expected Line, found str"),
        ("text", dict, "expected dict, found str"),
        (None, Line, "expected Line, found no payload"),
        (None, dict, "expected dict, found no payload"),
        (wrappers_pb2.BoolValue(), Line, "expected Line .*, found google.protobuf.BoolValue"),
        ({}, wrappers_pb2.BoolValue, "expected google.protobuf.BoolValue, found google.protobuf.Struct"),
        ({"x": 1}, None, "expected no payload"),
    ],
)
def test_a_payload_that_does_not_fit_names_expected_and_found(value: Any, expected: Any, says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        unpack(pack(value), expected)


def test_values_that_a_dataclass_refuses_are_not_quoted() -> None:
    with pytest.raises(PayloadError) as failure:
        unpack(pack({"n": -7}), Positive)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("expected", [wrappers_pb2.BoolValue, dict, str])
def test_broken_bytes_are_a_payload_error(expected: Any) -> None:
    name = type_name(expected)
    payload = any_pb2.Any(type_url=f"type.googleapis.com/{name}", value=b"\xff\xff")
    with pytest.raises(PayloadError, match="cannot be parsed"):
        unpack(payload, expected)


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        (Order, "google.protobuf.Struct"),
        (dict[str, int] | None, "google.protobuf.Struct"),
        (list[int], "google.protobuf.Value"),
        (struct_pb2.Struct, "google.protobuf.Struct"),
        (any_pb2.Any, ""),
        (None, ""),
    ],
)
def test_types_are_named_as_they_travel(expected: Any, name: str) -> None:
    assert type_name(expected) == name


@pytest.mark.parametrize("expected", [set[str], bytes, dict[int, str], int | str, complex])
def test_types_that_cannot_travel_are_refused(expected: Any) -> None:
    with pytest.raises(PayloadError):
        type_name(expected)


def test_json_fits_an_action_that_is_typed_by_a_message() -> None:
    """What somebody types in a shell is a Struct; it becomes the message by protobuf's JSON form."""
    assert unpack(pack({"reason": "NO"}), Rejected) == Rejected(reason="NO")
    with pytest.raises(PayloadError, match="hours"):
        unpack(pack({"hours": 3}), Rejected)
