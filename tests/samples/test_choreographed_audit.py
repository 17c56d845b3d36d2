"""The audit without a coordinator sees every way in which four services can disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from sample_services.book import Balance, Book, Movement
from sample_services.demo.audit import EFFECTS_OF_FENCE, Report
from sample_services.demo.choreographed.audit import ENDS, STEPS, Fences, audit
from sample_services.demo.choreographed.post import Post, Posted, Waiting

COMPLETED, *REFUSED = ENDS

SERVICES = ("orders", "inventory", "payments", "shipping")

UNSENT = Posted(
    service="payments",
    number=1,
    saga="s",
    step="charge",
    outcome="succeeded",
    type="shop.v1.PaymentCharged",
    time=0.0,
    sent=False,
)


def books(fences: Fences, *, effects: Mapping[str, Sequence[int]] | None = None) -> list[Book]:
    """What services have written down of one saga: what their fences demand, or other effects by step."""
    effects = effects or {}
    kept = {service: Book(service=service, balances={}, movements=(), fence={}) for service in SERVICES}
    for (service, step), fence in zip(STEPS, fences, strict=True):
        done, undone = EFFECTS_OF_FENCE[fence]
        amounts = effects.get(step, [1] * done + [-1] * undone)
        book = kept[service]
        kept[service] = replace(
            book,
            movements=(*book.movements, *(movement(step, amount) for amount in amounts)),
            fence={**book.fence, **({} if fence is None else {("s", step): fence})},
        )
    return [balanced(book) for book in kept.values()]


def movement(step: str, amount: int) -> Movement:
    return Movement(saga="s", step=step, subject="thing", amount=amount, undoes=amount < 0)


def balanced(book: Book) -> Book:
    closing = 100 + sum(move.amount for move in book.movements)
    return replace(book, balances={"thing": Balance(opening=100, closing=closing)})


def found(report: Report) -> list[str]:
    return [str(finding) for finding in report.findings]


@pytest.mark.parametrize("fences", ENDS)
def test_it_agrees_with_every_way_a_saga_can_rightly_end(fences: Fences) -> None:
    report = audit(["s"], books(fences), [])
    assert report.agrees, found(report)
    assert (report.completed, report.compensated) == ((1, 0) if fences == COMPLETED else (0, 1))
    assert report.lost == 0


@pytest.mark.parametrize(
    "fences",
    [
        (None, None, None, None, None),
        ("TRIED", None, None, None, None),
        ("TRIED", "TRIED", "TRIED", "TRIED", None),
        ("TRIED", "TRIED", "REJECTED", None, None),
        ("COMPENSATED", "TRIED", "REJECTED", None, None),
        ("COMPENSATED", "COMPENSATED", "TRIED", "REJECTED", None),
        ("COMPENSATED", "COMPENSATED", "COMPENSATED", "TRIED", None),
        ("COMPENSATED", "TOMBSTONE", "REJECTED", None, None),
    ],
)
def test_it_reports_a_saga_that_stayed_halfway(fences: Fences) -> None:
    report = audit(["s"], books(fences), [])
    assert found(report)[0].startswith("fences: s: was accepted, and has come to no end: place ")
    assert (report.completed, report.compensated, report.lost) == (0, 0, 1)


def test_it_says_how_far_a_lost_saga_came() -> None:
    report = audit(["s"], books(("TRIED", "TRIED", None, None, None)), [])
    (told,) = found(report)
    assert told.endswith("place TRIED, reserve TRIED, charge -, ship -, complete -")


@pytest.mark.parametrize(
    ("fences", "step", "effects", "what"),
    [
        (COMPLETED, "charge", [1, 1], "payments: s: charge: the fence says TRIED, the ledger has 2 effects"),
        (COMPLETED, "ship", [], "shipping: s: ship: the fence says TRIED, the ledger has 0 effects"),
        (
            REFUSED[-1],
            "charge",
            [1],
            "payments: s: charge: the fence says COMPENSATED, the ledger has 1 effect",
        ),
        (REFUSED[-1], "reserve", [2, -1], "inventory: s: reserve: +2 of thing is undone by -1 of thing"),
        (REFUSED[0], "ship", [1], "shipping: s: ship: the fence says nothing, the ledger has 1 effect"),
    ],
)
def test_it_reports_effects_that_a_fence_does_not_account_for(
    fences: Fences, step: str, effects: list[int], what: str
) -> None:
    report = audit(["s"], books(fences, effects={step: effects}), [])
    assert any(line.startswith(what) for line in found(report)), found(report)
    assert report.lost == 1


def test_it_reports_effects_of_an_order_that_nobody_accepted() -> None:
    report = audit([], books(REFUSED[0]), [])
    assert found(report) == [
        "orders: s: place: is of no order that was accepted",
        "inventory: s: reserve: is of no order that was accepted",
    ]


def test_it_reports_a_step_that_is_not_of_the_service() -> None:
    orders, *others = books(COMPLETED)
    strange = replace(orders, fence={**orders.fence, ("s", "charge"): "REJECTED"})
    report = audit(["s"], [strange, *others], [])
    assert found(report) == ["orders: s: charge: is of no order that was accepted"]


def test_it_reports_a_balance_that_its_movements_do_not_make() -> None:
    orders, *others = books(COMPLETED)
    wrong = replace(orders, balances={"thing": Balance(opening=100, closing=99)})
    assert found(audit(["s"], [wrong, *others], [])) == ["orders: thing is 99, its movements make 102"]


def test_it_reports_an_event_that_never_left_its_outbox() -> None:
    post = Post(service="payments", posted=(UNSENT, replace(UNSENT, number=2, sent=True)), waiting=())
    assert found(audit(["s"], books(COMPLETED), [post])) == [
        "payments: s: charge: shop.v1.PaymentCharged is in the outbox, and not on the bus"
    ]


def test_it_reports_an_event_that_was_not_dealt_with() -> None:
    dead = Waiting(saga="s", state="DEAD", error="UNKNOWN_VERSION: v2")
    post = Post(service="shipping", posted=(), waiting=(dead, replace(dead, state="PARKED", error="")))
    assert found(audit(["s"], books(COMPLETED), [post])) == [
        "shipping: s: an event in the inbox is DEAD UNKNOWN_VERSION: v2",
        "shipping: s: an event in the inbox is PARKED",
    ]


def test_it_reports_an_onlooker_who_tells_another_end() -> None:
    report = audit(["s"], books(COMPLETED), [], onlooker={"s": "COMPENSATED"})
    assert found(report) == ["onlooker: s: says COMPENSATED, the fences COMPLETED"]


def test_it_reports_a_saga_that_the_onlooker_never_heard_of() -> None:
    report = audit(["s"], books(REFUSED[0]), [], onlooker={"other": "COMPLETED"})
    assert found(report) == ["onlooker: s: says nothing, the fences COMPENSATED"]


def test_it_agrees_with_an_onlooker_who_tells_the_same() -> None:
    assert audit(["s"], books(COMPLETED), [], onlooker={"s": "COMPLETED"}).agrees
