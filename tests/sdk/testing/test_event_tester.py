"""The test kit of choreographed services: given these events, expect those."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from amends.choreography import EventContext, EventService, Rejected
from amends.testing import EventTester


@dataclass(frozen=True)
class OrderPlaced:
    sku: str
    pieces: int


@dataclass(frozen=True)
class StockReserved:
    pieces: int


@dataclass(frozen=True)
class StockRefused:
    reason: str


@dataclass(frozen=True)
class StockReleased:
    pieces: int


@dataclass(frozen=True)
class PaymentFailed:
    reason: str


@pytest.fixture
def stock(tmp_path: Path) -> Callable[[], int]:
    def pieces() -> int:
        with closing(sqlite3.connect(tmp_path / "inventory.db")) as db:
            total: int = db.execute("SELECT coalesce(sum(pieces), 0) FROM moved").fetchone()[0]
        return total

    return pieces


@pytest.fixture
def inventory(tmp_path: Path) -> EventService:
    service = EventService(
        "inventory",
        bus=f"sqlite:///{tmp_path / 'never.db'}",
        store=f"sqlite:///{tmp_path / 'inventory.db'}",
        schema="CREATE TABLE IF NOT EXISTS moved (pieces INTEGER NOT NULL) STRICT;",
    )
    outage = {"left": 1}

    @service.on(OrderPlaced, fails_as=StockRefused)
    def reserve(order: OrderPlaced, ctx: EventContext) -> StockReserved:
        ctx.db.execute("INSERT INTO moved VALUES (?)", (order.pieces,))
        if order.sku == "unknown":
            raise Rejected("UNKNOWN_PRODUCT")
        if order.sku == "flaky" and outage["left"]:
            outage["left"] -= 1
            raise OSError("for the moment")
        return StockReserved(order.pieces)

    @reserve.compensate_on(PaymentFailed)
    def release(order: OrderPlaced, reserved: StockReserved | None, ctx: EventContext) -> StockReleased:
        assert reserved == StockReserved(order.pieces)
        assert ctx.trigger == PaymentFailed("SHORT")
        ctx.db.execute("INSERT INTO moved VALUES (?)", (-order.pieces,))
        return StockReleased(order.pieces)

    return service


async def test_p3_what_was_done_is_undone_when_a_failure_comes(
    inventory: EventService, stock: Callable[[], int]
) -> None:
    async with EventTester(inventory) as tester:
        told = await tester.deliver(OrderPlaced("tea", 2))
        assert told.event(StockReserved) == StockReserved(2)
        assert stock() == 2
        told = await tester.deliver(PaymentFailed("SHORT"))
        assert told.event(StockReleased) == StockReleased(2)
        assert stock() == 0


async def test_p4_what_comes_again_does_nothing(inventory: EventService, stock: Callable[[], int]) -> None:
    async with EventTester(inventory) as tester:
        await tester.deliver(OrderPlaced("tea", 2))
        again = await tester.deliver_again()
        assert (again.disposition, again.emitted) == ("duplicate", ())
        other_id = await tester.deliver(OrderPlaced("tea", 2))
        assert (other_id.disposition, other_id.emitted) == ("done", ())
        assert stock() == 2


async def test_p5_what_comes_after_its_failure_does_nothing(
    inventory: EventService, stock: Callable[[], int]
) -> None:
    async with EventTester(inventory) as tester:
        early = await tester.deliver(PaymentFailed("SHORT"))
        assert [(event.type, event.outcome) for event in early.emitted] == [("amends.v1.StepEnded", "buried")]
        assert (await tester.deliver(OrderPlaced("tea", 2))).emitted == ()
        assert stock() == 0


async def test_a_rejection_becomes_its_failure_event_and_leaves_no_effect(
    inventory: EventService, stock: Callable[[], int]
) -> None:
    async with EventTester(inventory) as tester:
        told = await tester.deliver(OrderPlaced("unknown", 2))
        assert told.event(StockRefused) == StockRefused("UNKNOWN_PRODUCT")
        assert [event.outcome for event in told.emitted] == ["rejected"]
        assert stock() == 0


async def test_later_events_of_a_saga_wait_behind_one_that_failed_and_others_do_not(
    inventory: EventService, stock: Callable[[], int]
) -> None:
    async with EventTester(inventory) as tester:
        assert (await tester.deliver(OrderPlaced("flaky", 2))).disposition == "waiting"
        assert (await tester.deliver(PaymentFailed("SHORT"))).disposition == "parked"
        assert (await tester.deliver(OrderPlaced("tea", 5), saga_id="another")).disposition == "done"
        assert stock() == 5
        assert await tester.retry() == ["done"]
        assert stock() == 7
        assert await tester.retry() == ["done"]
        assert stock() == 5


async def test_one_event_is_asked_for_and_another_found(inventory: EventService) -> None:
    async with EventTester(inventory) as tester:
        told = await tester.deliver(OrderPlaced("tea", 2))
        with pytest.raises(AssertionError, match="expected one StockReleased, found 0"):
            told.event(StockReleased)
