"""The audit reads real files: it agrees with what a service wrote, and sees what somebody else wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amends.v1.saga_pb2 import Definition, Saga, Step, StepRun
from sample_services.demo.audit import audit
from sample_services.payments.ledger import BOOKKEEPING
from tests.samples.counter import Counter

STEPS = Definition(name="order", steps=[Step(name="charge", participant="payments")])

LOG = [
    Saga(
        id="kept",
        state=Saga.COMPLETED,
        definition=STEPS,
        steps=[StepRun(step="charge", state=StepRun.SUCCEEDED)],
    ),
    Saga(
        id="undone",
        state=Saga.COMPENSATED,
        definition=STEPS,
        steps=[StepRun(step="charge", state=StepRun.COMPENSATED)],
    ),
]


@pytest.fixture
async def paid(bank: Counter, ledger: Path) -> Path:
    """The ledger of payments after one charge that stays and one that was refunded."""
    await bank.try_("kept")
    await bank.try_("undone")
    await bank.compensate("undone")
    return ledger


def found(ledger: Path) -> list[str]:
    return [str(finding) for finding in audit(LOG, [BOOKKEEPING.read(ledger)]).findings]


def tamper(ledger: Path, statement: str) -> None:
    with closing(sqlite3.connect(ledger)) as db, db:
        db.execute(statement)


def test_it_agrees_with_what_the_service_wrote(paid: Path) -> None:
    assert found(paid) == []


def test_it_sees_an_entry_made_twice(paid: Path) -> None:
    tamper(
        paid,
        "INSERT INTO entry (saga, step, account, cents) SELECT saga, step, account, cents FROM entry LIMIT 1",
    )
    assert found(paid) == [
        "payments: kept: charge: the fence says TRIED, the ledger has 2 effects, 0 undone",
        "payments: ada is 498700, its movements make 497400",
    ]


def test_it_sees_an_entry_that_vanished(paid: Path) -> None:
    tamper(paid, "DELETE FROM entry WHERE saga = 'undone' AND cents > 0")
    assert found(paid) == [
        "payments: undone: charge: the fence says COMPENSATED, the ledger has 1 effect, 0 undone",
        "payments: ada is 498700, its movements make 497400",
    ]


def test_it_sees_a_balance_that_was_changed(paid: Path) -> None:
    tamper(paid, "UPDATE account SET balance = balance + 1 WHERE id = 'grace'")
    assert found(paid) == ["payments: grace is 500001, its movements make 500000"]


def test_it_sees_a_fence_row_that_vanished(paid: Path) -> None:
    tamper(paid, "DELETE FROM amends_fence WHERE saga_id = 'kept'")
    assert found(paid) == [
        "payments: kept: charge: the log says SUCCEEDED, the fence nothing",
        "payments: kept: charge: the fence says nothing, the ledger has 1 effect, 0 undone",
    ]


def test_it_sees_an_entry_of_a_saga_that_nobody_started(paid: Path) -> None:
    tamper(paid, "UPDATE entry SET saga = 'ghost' WHERE saga = 'kept'")
    assert "payments: ghost: charge: is not in the log" in found(paid)
