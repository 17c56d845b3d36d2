"""A cancel as docs/choreography.md has it: the service of the pivot decides, and the pivot is final (P8)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from amends._choreography.graph import faults_of
from amends.choreography import EventContext, EventService, Kind, Rejected
from amends.testing import EventTester

SCHEMA = "CREATE TABLE IF NOT EXISTS decided (saga TEXT PRIMARY KEY);"
DECIDE = "INSERT OR IGNORE INTO decided VALUES (?)"


@dataclass
class OrderPlaced:
    cents: int


@dataclass
class PaymentCharged:
    cents: int


@dataclass
class PaymentFailed:
    reason: str


@dataclass
class CancelAsked:
    by: str


@dataclass
class Cancelled:
    by: str


def payments(folder: Path) -> EventService:
    service = EventService(
        "payments", bus=f"sqlite:///{folder}/bus.db", store=f"sqlite:///{folder}/payments.db", schema=SCHEMA
    )

    @service.on(OrderPlaced, fails_as=PaymentFailed, kind=Kind.PIVOT)
    def charge(order: OrderPlaced, ctx: EventContext) -> PaymentCharged:
        if ctx.db.execute(DECIDE, (ctx.saga_id,)).rowcount == 0:
            raise Rejected("CANCELLED", "the order was cancelled before")
        return PaymentCharged(order.cents)

    @service.on(CancelAsked, effect_free=True)
    def decide(asked: CancelAsked, ctx: EventContext) -> Cancelled | None:
        is_first = ctx.db.execute(DECIDE, (ctx.saga_id,)).rowcount == 1
        return Cancelled(asked.by) if is_first else None

    return service


def orders(folder: Path) -> EventService:
    service = EventService("orders", bus=f"sqlite:///{folder}/bus.db", store=f"sqlite:///{folder}/orders.db")

    @service.entry()
    def place(order: OrderPlaced, ctx: EventContext) -> OrderPlaced:
        return order

    @place.compensate_on(PaymentFailed, Cancelled)
    def withdraw(order: OrderPlaced, placed: OrderPlaced | None, ctx: EventContext) -> None: ...

    return service


@pytest.fixture
async def tester(tmp_path: Path) -> AsyncIterator[EventTester]:
    async with EventTester(payments(tmp_path)) as tester:
        yield tester


async def test_a_wish_to_cancel_that_comes_after_the_pivot_changes_nothing(tester: EventTester) -> None:
    charged = await tester.deliver(OrderPlaced(1200))
    assert charged.event(PaymentCharged).cents == 1200
    told = await tester.deliver(CancelAsked("ada"))
    assert "Cancelled" not in {event.type for event in told.emitted}


async def test_a_wish_to_cancel_that_comes_before_the_pivot_keeps_it_from_succeeding(
    tester: EventTester,
) -> None:
    told = await tester.deliver(CancelAsked("ada"))
    assert told.event(Cancelled).by == "ada"
    late = await tester.deliver(OrderPlaced(1200))
    assert late.event(PaymentFailed).reason == "CANCELLED"


def test_nothing_is_said_of_such_a_graph(tmp_path: Path) -> None:
    graph = [payments(tmp_path).describe(), orders(tmp_path).describe()]
    assert [fault for name in ("payments", "orders") for fault in faults_of(graph, of=name)] == []
