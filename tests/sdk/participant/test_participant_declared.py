"""Actions of annotated services: what generated code declares, and a subclass handles."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from amends import (
    Context,
    DeclaredAction,
    DeclaredActions,
    HandlerError,
    HandlerResult,
    Handlers,
    Participant,
    Step,
)
from amends.testing import ParticipantTester

CHARGE = DeclaredAction(
    participant="payments",
    name="charge",
    input_type=Int64Value,
    result_type=StringValue,
    description="Takes money.",
)
CHECK = DeclaredAction(
    participant="payments", name="check", input_type=StringValue, result_type=StringValue, effect_free=True
)


class PaymentsActions(DeclaredActions):
    """Stands for what is generated."""

    __handlers__: ClassVar[tuple[Handlers, ...]] = (
        Handlers(CHARGE, method="charge", compensation="refund"),
        Handlers(CHECK, method="check_"),
    )

    def charge(self, request: Int64Value, ctx: Context) -> HandlerResult[StringValue]:
        raise NotImplementedError

    def refund(self, request: Int64Value, result: StringValue | None, ctx: Context) -> HandlerResult[None]:
        raise NotImplementedError

    def check_(self, request: StringValue, ctx: Context) -> HandlerResult[StringValue]:
        raise NotImplementedError


class Payments(PaymentsActions):
    """Handles them, with coroutines and without."""

    def __init__(self) -> None:
        self.balance = 0

    def charge(self, request: Int64Value, ctx: Context) -> StringValue:
        self.balance -= request.value
        return StringValue(value=ctx.idempotency_key)

    def refund(self, request: Int64Value, result: StringValue | None, ctx: Context) -> None:
        assert result is not None
        self.balance += request.value

    async def check_(self, request: StringValue, ctx: Context) -> StringValue:
        return StringValue(value=ctx.result(CHARGE("pay")).value + request.value)


@pytest.fixture
def participant() -> Participant:
    return Participant("payments", store="memory:")


async def test_methods_handle_the_actions(participant: Participant) -> None:
    """A Try and its Compensate, behind the fence as any."""
    payments = Payments()
    participant.offer(payments)
    async with ParticipantTester(participant) as tester:
        saga = tester.new_saga()
        tried = await tester.try_("charge", Int64Value(value=3), saga_id=saga)
        assert tried.result(StringValue).value.startswith(saga)
        assert payments.balance == -3
        for _ in range(2):
            await tester.compensate("charge", Int64Value(value=3), saga_id=saga)
        assert payments.balance == 0


async def test_a_handler_reads_results_by_their_steps(participant: Participant) -> None:
    """Whose type is then known."""
    participant.offer(Payments())
    async with ParticipantTester(participant) as tester:
        tried = await tester.try_("check", StringValue(value="!"), results={"pay": StringValue(value="r-1")})
    assert tried.result(StringValue).value == "r-1!"


async def test_the_result_of_a_step_without_a_type_is_read_as_json(participant: Participant) -> None:
    """As a client reads it."""

    @participant.action
    def act(request: StringValue, ctx: Context) -> int:
        total: int = ctx.result(Step("reserve", "inventory", "reserve"))["total"]
        return total

    async with ParticipantTester(participant) as tester:
        tried = await tester.try_("act", StringValue(), results={"reserve": {"total": 12}})
    assert tried.result(int) == 12


def test_a_participant_describes_what_was_declared(participant: Participant) -> None:
    """Its types, its description, and whether it can be compensated."""
    participant.offer(Payments())
    charge, check = participant.describe().actions
    assert (charge.name, charge.description, charge.compensatable) == ("charge", "Takes money.", True)
    assert (charge.input_type, charge.result_type) == (
        "google.protobuf.Int64Value",
        "google.protobuf.StringValue",
    )
    assert (check.name, check.compensatable) == ("check", False)


def test_an_action_may_have_its_effect_elsewhere(participant: Participant) -> None:
    """Which only the author of the participant can know."""
    participant.offer(Payments(), external=["charge"])
    assert participant._actions["charge"].external
    assert not participant._actions["check"].external


def test_an_external_action_that_was_not_declared_is_told(participant: Participant) -> None:
    """A misspelt one would run inside a transaction."""
    with pytest.raises(HandlerError, match="Payments has no action 'chrage'; there are: charge, check"):
        participant.offer(Payments(), external=["chrage"])


def test_two_services_share_a_participant_unless_their_names_collide(participant: Participant) -> None:
    """Actions of both are called by name."""
    participant.offer(Payments())
    with pytest.raises(HandlerError, match="participant 'payments' has an action 'charge' already"):
        participant.offer(Payments())


class TakesAnother(Payments):
    """What a type checker would find."""

    def charge(self, request: Struct, ctx: Context) -> StringValue:  # type: ignore[override]
        raise NotImplementedError


class GivesAnother(Payments):
    """What a type checker would find."""

    def charge(self, request: Int64Value, ctx: Context) -> StringValue | None:  # type: ignore[override]
        raise NotImplementedError


class TakesAnything(Payments):
    """What only a strict type checker would find."""

    def charge(self, request, ctx):  # type: ignore[no-untyped-def]
        raise NotImplementedError


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        (TakesAnother(), r"'TakesAnother\.charge' takes Struct, but its \.proto file says Int64Value"),
        (GivesAnother(), r"'GivesAnother\.charge' gives .*None.*, but its \.proto file says StringValue"),
        (TakesAnything(), r"'TakesAnything\.charge': parameter 'request' has no annotation"),
    ],
)
def test_a_handler_of_another_form_is_told(participant: Participant, actions: Any, told: str) -> None:
    """For those who use no type checker."""
    with pytest.raises(HandlerError, match=told):
        participant.offer(actions)
