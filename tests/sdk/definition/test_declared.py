"""Declared actions, which make the steps that call them."""

from dataclasses import replace

import pytest
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from amends import DeclaredAction, Definition, DefinitionError, Kind, Retry, Step

CHARGE = DeclaredAction(
    participant="payments",
    name="charge",
    input_type=Int64Value,
    result_type=StringValue,
    timeout=5,
    retry=Retry(max_attempts=3),
)


def cents(order: dict[str, int]) -> Int64Value:
    return Int64Value(value=order["cents"])


def test_a_step_is_what_the_action_declares() -> None:
    """It equals the same step written by hand."""
    assert CHARGE() == Step("charge", "payments", "charge", timeout=5, retry=Retry(max_attempts=3))


def test_a_step_may_say_otherwise() -> None:
    """All but what it calls, and whether there is anything to undo."""
    step = CHARGE(
        "pay", participant="bank", needs=["reserve"], kind="pivot", timeout=1, retry=Retry(max_attempts=9)
    )
    wanted = Step(
        "pay",
        "bank",
        "charge",
        needs=["reserve"],
        kind=Kind.PIVOT,
        timeout=1,
        retry=Retry(max_attempts=9),
    )
    assert step == wanted


def test_an_action_without_effect_makes_steps_without_effect() -> None:
    """There is nothing that could be different from step to step."""
    check = DeclaredAction(
        participant="p", name="check", input_type=StringValue, result_type=StringValue, effect_free=True
    )
    assert check().effect_free


def test_mistakes_are_those_of_any_step() -> None:
    """They are told where the step is made."""
    with pytest.raises(DefinitionError, match="step 'pay': timeout is 4000 s"):
        CHARGE("pay", timeout=4000)


def test_a_definition_knows_which_steps_make_their_own_input() -> None:
    """By name; the others take the saga's."""
    order = Definition("order", [CHARGE("deposit"), CHARGE("pay", input=cents), Step("ship", "p", "ship")])
    assert dict(order.inputs_from) == {"pay": cents}


def test_a_changed_copy_of_a_step_makes_the_same_input() -> None:
    """And knows the same of its result."""
    step = replace(CHARGE("pay", input=cents), timeout=7)
    assert (step.timeout, step.input_from, step.result_type) == (7, cents, StringValue)


def test_how_inputs_are_made_is_not_part_of_what_a_definition_is() -> None:
    """The coordinator is never told, so what comes back from it is equal, and makes none."""
    order = Definition("order", [CHARGE(input=cents)])
    back = Definition.from_proto(order.to_proto())
    assert back == order
    assert dict(back.inputs_from) == {}
