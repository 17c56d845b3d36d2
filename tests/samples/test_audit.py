"""The audit sees every way in which ledgers, fences and log can disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amends.v1.saga_pb2 import Definition, Saga, Step, StepRun
from sample_services.book import Balance, Book, Movement
from sample_services.demo.audit import Report, audit

SUCCEEDED, COMPENSATED = StepRun.SUCCEEDED, StepRun.COMPENSATED
REJECTED, SKIPPED = StepRun.REJECTED, StepRun.SKIPPED


def saga(state: Saga.State.ValueType, charge: StepRun.State.ValueType, saga_id: str = "s") -> Saga:
    """A saga of one step, charge, at payments."""
    return Saga(
        id=saga_id,
        state=state,
        definition=Definition(name="order", steps=[Step(name="charge", participant="payments")]),
        steps=[StepRun(step="charge", state=charge)],
    )


def entry(cents: int, saga_id: str = "s", account: str = "ada") -> Movement:
    """An entry in the ledger of payments."""
    return Movement(saga=saga_id, step="charge", subject=account, amount=cents, undoes=cents > 0)


def payments(*movements: Movement, fence: str | None) -> Book:
    """A ledger whose balance is what its movements make."""
    return Book(
        service="payments",
        balances={"ada": Balance(opening=100, closing=100 + sum(move.amount for move in movements))},
        movements=movements,
        fence={} if fence is None else {("s", "charge"): fence},
    )


def found(report: Report) -> str:
    return "\n".join(map(str, report.findings))


@pytest.mark.parametrize(
    ("log", "book"),
    [
        (saga(Saga.COMPLETED, SUCCEEDED), payments(entry(-5), fence="TRIED")),
        (saga(Saga.COMPENSATED, COMPENSATED), payments(entry(-5), entry(5), fence="COMPENSATED")),
        (saga(Saga.COMPENSATED, COMPENSATED), payments(fence="TOMBSTONE")),
        (saga(Saga.COMPENSATED, COMPENSATED), payments(fence="REJECTED")),
        (saga(Saga.COMPENSATED, REJECTED), payments(fence="REJECTED")),
        (saga(Saga.COMPENSATED, REJECTED), payments(fence=None)),
        (saga(Saga.COMPENSATED, SKIPPED), payments(fence=None)),
    ],
)
def test_it_agrees_with_every_way_a_step_can_rightly_end(log: Saga, book: Book) -> None:
    report = audit([log], [book], accepted=["s"])
    assert report.agrees, found(report)
    assert report.completed + report.compensated == 1
    assert report.lost == 0


@pytest.mark.parametrize(
    ("log", "book", "what"),
    [
        (
            saga(Saga.COMPLETED, SUCCEEDED),
            payments(entry(-5), entry(-5), fence="TRIED"),
            "payments: s: charge: the fence says TRIED, the ledger has 2 effects, 0 undone",
        ),
        (
            saga(Saga.COMPLETED, SUCCEEDED),
            payments(fence="TRIED"),
            "payments: s: charge: the fence says TRIED, the ledger has 0 effects, 0 undone",
        ),
        (
            saga(Saga.COMPLETED, SUCCEEDED),
            payments(fence=None),
            "payments: s: charge: the log says SUCCEEDED, the fence nothing",
        ),
        (
            saga(Saga.COMPLETED, SUCCEEDED),
            payments(entry(-5), entry(5), fence="COMPENSATED"),
            "payments: s: charge: the log says SUCCEEDED, the fence COMPENSATED",
        ),
        (
            saga(Saga.COMPENSATED, COMPENSATED),
            payments(entry(-5), fence="TRIED"),
            "payments: s: charge: the log says COMPENSATED, the fence TRIED",
        ),
        (
            saga(Saga.COMPENSATED, COMPENSATED),
            payments(entry(-5), fence="COMPENSATED"),
            "payments: s: charge: the fence says COMPENSATED, the ledger has 1 effect, 0 undone",
        ),
        (
            saga(Saga.COMPENSATED, COMPENSATED),
            payments(entry(-5), entry(5), entry(5), fence="COMPENSATED"),
            "payments: s: charge: the fence says COMPENSATED, the ledger has 1 effect, 2 undone",
        ),
        (
            saga(Saga.COMPENSATED, COMPENSATED),
            payments(entry(-5), entry(4), fence="COMPENSATED"),
            "payments: s: charge: -5 of ada is undone by +4 of ada",
        ),
        (
            saga(Saga.COMPENSATED, REJECTED),
            payments(entry(-5), fence="REJECTED"),
            "payments: s: charge: the fence says REJECTED, the ledger has 1 effect, 0 undone",
        ),
        (
            saga(Saga.COMPENSATED, SUCCEEDED),
            payments(entry(-5), fence="TRIED"),
            "log: s: charge: is SUCCEEDED in a saga that is COMPENSATED",
        ),
        (
            saga(Saga.RUNNING, StepRun.TRYING),
            payments(fence=None),
            "log: s: has not ended, it is RUNNING",
        ),
        (
            saga(Saga.PARKED, StepRun.REFUSED),
            payments(entry(-5), fence="TRIED"),
            "log: s: has not ended, it is PARKED",
        ),
    ],
)
def test_it_reports_every_way_a_step_can_be_wrong(log: Saga, book: Book, what: str) -> None:
    report = audit([log], [book])
    assert found(report) == what
    assert report.lost == 1


def test_it_reports_a_saga_that_was_accepted_and_is_not_there() -> None:
    report = audit([], [], accepted=["s"])
    assert found(report) == "log: s: was accepted, and is not there"


def test_it_reports_an_effect_of_a_saga_that_the_log_does_not_know() -> None:
    report = audit([], [payments(entry(-5), fence="TRIED")])
    assert found(report) == "payments: s: charge: is not in the log"


def test_it_reports_a_balance_that_its_movements_do_not_make() -> None:
    book = replace(payments(fence=None), balances={"ada": Balance(opening=100, closing=99)})
    report = audit([], [book])
    assert found(report) == "payments: ada is 99, its movements make 100"
    assert not report.agrees


def test_it_counts_a_saga_with_several_faults_as_one_lost() -> None:
    report = audit([saga(Saga.COMPLETED, SKIPPED)], [payments(entry(-5), fence="TRIED")])
    assert len(report.findings) > 1
    assert report.lost == 1
