"""The test kit for participants."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from amends import Context, Fault, Participant, Pending, Rejected
from amends.testing import ParticipantTester
from amends.testing import _fenced as fenced
from amends.testing._outcomes import CompensateOutcome, TryOutcome
from amends.v1 import participant_pb2


@dataclass
class Order:
    account: str
    amount: int


@dataclass
class Charge:
    amount: int


SCHEMA = "CREATE TABLE IF NOT EXISTS balance (account TEXT PRIMARY KEY, amount INTEGER NOT NULL)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "payments.db"


@pytest.fixture
def payments(path: Path) -> Participant:
    payments = Participant("payments", store=f"sqlite:///{path}", schema=SCHEMA)

    def move(db: sqlite3.Connection, account: str, amount: int) -> None:
        db.execute(
            "INSERT INTO balance VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            (account, amount),
        )

    @payments.action
    def charge(order: Order, ctx: Context) -> Charge:
        if order.amount > 100:
            raise Rejected("INSUFFICIENT_FUNDS", "too much", {"limit": "100"})
        if order.amount == 0:
            raise Pending(3)
        if order.amount < 0:
            raise ZeroDivisionError
        move(ctx.db, order.account, -order.amount)
        return Charge(order.amount)

    @charge.compensate
    def refund(order: Order, charge: Charge | None, ctx: Context) -> None:
        move(ctx.db, order.account, order.amount)

    @payments.action
    def final(order: Order, ctx: Context) -> None:
        move(ctx.db, order.account, -order.amount)

    return payments


def balance(path: Path) -> int:
    with sqlite3.connect(path) as db:
        (amount,) = db.execute("SELECT coalesce(sum(amount), 0) FROM balance").fetchone()
    db.close()
    return int(amount)


async def test_outcomes_are_told_in_pythons_words(payments: Participant) -> None:
    """Success has a typed result; a rejection is the one the handler raised."""
    async with ParticipantTester(payments) as tester:
        assert (await tester.try_("charge", Order("ada", 12))).result(Charge) == Charge(12)
        tester.new_saga()
        outcome = await tester.try_("charge", Order("ada", 101))
        assert outcome.rejected is not None
        assert (outcome.rejected.reason, outcome.rejected.metadata) == (
            "INSUFFICIENT_FUNDS",
            {"limit": "100"},
        )
        with pytest.raises(Rejected):
            outcome.result(Charge)
        tester.new_saga()
        outcome = await tester.try_("charge", Order("ada", 0))
        assert outcome.pending is not None
        assert outcome.pending.retry_after == 3


async def test_refusal_is_told_in_pythons_words(payments: Participant) -> None:
    """An action without a compensation cannot be undone."""
    async with ParticipantTester(payments) as tester:
        await tester.try_("final", Order("ada", 12))
        outcome = await tester.compensate("final", Order("ada", 12))
    assert outcome.refused is not None
    assert not outcome.compensated


async def test_same_call_again_is_a_delivery_again(payments: Participant, path: Path) -> None:
    """Calls share a saga until the test says otherwise."""
    async with ParticipantTester(payments) as tester:
        for _ in range(3):
            await tester.try_("charge", Order("ada", 12))
        assert balance(path) == -12
        await tester.try_("charge", Order("ada", 12), step="tip")
        tester.new_saga()
        await tester.try_("charge", Order("ada", 12))
        assert balance(path) == -36


async def test_exception_in_a_handler_is_a_fault(payments: Participant) -> None:
    """A test sees the status that a coordinator would see."""
    async with ParticipantTester(payments) as tester:
        with pytest.raises(Fault, match="INTERNAL"):
            await tester.try_("charge", Order("ada", -1))


async def test_p4_fenced_action_passes_the_script(payments: Participant, path: Path) -> None:
    """Twice, at once, late, in the wrong order: what is observed changes once and is restored."""
    async with ParticipantTester(payments) as tester:
        await tester.assert_fenced("charge", Order("ada", 12), observe=lambda: balance(path))
    assert balance(path) == 0


async def test_script_needs_an_input_that_succeeds(payments: Participant) -> None:
    """A script that proves nothing says so."""
    async with ParticipantTester(payments) as tester:
        with pytest.raises(
            AssertionError, match=r"needs an input with which it succeeds.*INSUFFICIENT_FUNDS"
        ):
            await tester.assert_fenced("charge", Order("ada", 101))


async def test_script_needs_a_compensation(payments: Participant) -> None:
    """What cannot be undone is not fenced against being undone."""
    async with ParticipantTester(payments) as tester:
        with pytest.raises(AssertionError, match="final: was not compensated"):
            await tester.assert_fenced("final", Order("ada", 12))


class Unfenced:
    """An action by hand that forgets one rule."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.effects = 0
        self.steps: dict[str, str] = {}

    async def tried(self, saga_id: str) -> TryOutcome:
        response = participant_pb2.TryResponse()
        state = self.steps.get(saga_id)
        if state == "compensated" and self.fault != "late":
            response.rejected.reason = "ALREADY_COMPENSATED"
            return TryOutcome(response)
        if state is None or self.fault == "twice":
            self.effects += 1
        self.steps[saga_id] = "tried"
        response.succeeded.SetInParent()
        if self.fault == "answer":
            response.succeeded.result.value = str(self.effects).encode()
            self.effects += 1
        return TryOutcome(response)

    async def compensated(self, saga_id: str) -> CompensateOutcome:
        state = self.steps.get(saga_id)
        if state == "tried" or (self.fault == "empty" and state is None):
            self.effects -= 1
        self.steps[saga_id] = "compensated"
        response = participant_pb2.CompensateResponse()
        response.compensated.SetInParent()
        return CompensateOutcome(response)

    async def observe(self) -> int:
        return self.effects


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("twice", "a second Try had an effect: observed 1 before, 2 after"),
        ("answer", "a second Try"),
        ("late", "a Try after its Compensate was not rejected as ALREADY_COMPENSATED"),
        ("empty", "a Compensate before its Try had an effect"),
    ],
)
async def test_script_finds_what_a_fence_forgets(fault: str, told: str) -> None:
    """Each rule that is broken fails the script, in words that name the delivery."""
    unfenced = Unfenced(fault)
    script = fenced.Script("act", unfenced.tried, unfenced.compensated, unfenced.observe)
    with pytest.raises(AssertionError, match=told):
        await script.run()


async def test_script_passes_what_forgets_nothing() -> None:
    """The same action without a fault."""
    careful = Unfenced("none")
    await fenced.Script("act", careful.tried, careful.compensated, careful.observe).run()
    assert careful.effects == 0


def test_outcomes_introduce_themselves() -> None:
    """Reprs tell the outcome."""
    response = participant_pb2.TryResponse()
    response.rejected.reason = "NO"
    assert repr(TryOutcome(response)) == "TryOutcome(NO)"
    response.succeeded.SetInParent()
    assert repr(TryOutcome(response)) == "TryOutcome(succeeded)"
    refusal = participant_pb2.CompensateResponse()
    refusal.refused.reason = "NEVER"
    assert repr(CompensateOutcome(refusal)) == "CompensateOutcome(NEVER)"
