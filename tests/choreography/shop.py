"""A shop of four services that react to each other's events, whose sagas end as their orders wish.

An order carries wishes, and every event that follows from it carries them on:

    reject:STEP     the step turns it down
    fail:STEP:N     the step raises in its first N attempts
    break:STEP      the step ends the transaction of everybody, whenever it is tried
    large:STEP      the step emits more than a bus takes
    stall:STEP      the step waits until it is let go, where its service has a place to wait
    fail-undo:STEP:N, refuse-undo:STEP
                    the same of what undoes it

Every handler writes its line into the ledger first, so that whatever goes wrong must take it away again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from amends.choreography import (
    EventContext,
    EventService,
    Kind,
    Reaction,
    Refused,
    Rejected,
    Retry,
    event,
)
from tests.promises.ledgers import INSERT, SCHEMA, line_of, new_deed

SERVICES: Final = ("orders", "inventory", "payments", "shipping")

QUICK: Final = Retry(max_attempts=4, initial_backoff=0.01, max_backoff=0.01)


class StumbledError(Exception):
    """What a handler raises that was wished to fail."""


@dataclass
class Order:
    """What is asked for."""

    wishes: list[str] = field(default_factory=list)


@event("shop.v1.OrderPlaced")
@dataclass
class OrderPlaced:
    wishes: list[str]
    deed: str
    filling: str = ""


@event("shop.v1.StockReserved")
@dataclass
class StockReserved:
    wishes: list[str]
    deed: str
    filling: str = ""


@event("shop.v1.PaymentCharged")
@dataclass
class PaymentCharged:
    wishes: list[str]
    deed: str
    filling: str = ""


@event("shop.v1.ParcelShipped")
@dataclass
class ParcelShipped:
    wishes: list[str]
    deed: str
    filling: str = ""


@event("shop.v1.StockRefused")
@dataclass
class StockRefused:
    reason: str
    message: str = ""


@event("shop.v1.PaymentFailed")
@dataclass
class PaymentFailed:
    reason: str
    message: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@event("shop.v1.ShippingFailed")
@dataclass
class ShippingFailed:
    reason: str


@event("shop.v1.StockReleased")
@dataclass
class StockReleased:
    deed: str


@dataclass(kw_only=True)
class Wishes:
    """Carries out what an order wishes, for one service."""

    stalls: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """What a step that stalls calls, in the thread of its database."""

    def forward(self, ctx: EventContext, wishes: list[str]) -> str:
        """Ends a step as wished; returns how it fills its event."""
        for wish in wishes:
            match wish.split(":"):
                case ["reject", step] if step == ctx.step:
                    raise Rejected("NOT_WISHED", "the order would not have it", {"step": step})
                case ["fail", step, times] if step == ctx.step and ctx.attempt <= int(times):
                    raise StumbledError(wish)
                case ["break", step] if step == ctx.step:
                    ctx.db.execute("INSERT OR ROLLBACK INTO never VALUES (1)")
                case ["large", step] if step == ctx.step:
                    return "x" * 2_000_000
                case ["stall", step] if step == ctx.step and step in self.stalls:
                    self.stalls[step]()
        return ""

    def backward(self, ctx: EventContext, wishes: list[str]) -> None:
        """Ends a compensation as wished."""
        for wish in wishes:
            match wish.split(":"):
                case ["fail-undo", step, times] if step == ctx.step and ctx.attempt <= int(times):
                    raise StumbledError(wish)
                case ["refuse-undo", step] if step == ctx.step:
                    raise Refused("NOT_NOW", "it cannot be taken back")


def apply(ctx: EventContext) -> str:
    """Has the effect of a step; returns the deed that it is."""
    deed = new_deed()
    ctx.db.execute(INSERT, line_of(ctx, "applied", deed))
    return deed


def take_back(ctx: EventContext, deed: str) -> None:
    """Undoes it."""
    ctx.db.execute(INSERT, line_of(ctx, "undone", deed))


@dataclass(kw_only=True)
class Shop:
    """How the services are made, each by its name."""

    bus: str
    folder: Path
    retry: Retry = QUICK
    wishes: Wishes = field(default_factory=Wishes)
    options: dict[str, Any] = field(default_factory=dict)

    def store(self, name: str) -> Path:
        """The database of a service."""
        return self.folder / f"{name}.db"

    @property
    def stores(self) -> dict[str, Path]:
        """The databases that there are."""
        return {name: self.store(name) for name in SERVICES if self.store(name).exists()}

    def make(self, name: str) -> EventService:
        """Makes a service; not started."""
        service = EventService(
            name,
            bus=self.bus,
            store=f"sqlite:///{self.store(name)}",
            schema=SCHEMA + "CREATE TABLE IF NOT EXISTS never (it INTEGER CHECK (it = 0));",
            retry=self.retry,
            **self.options,
        )
        _DECLARE[name](service, self.wishes)
        return service


def place_of(orders: EventService) -> Reaction[Order, OrderPlaced]:
    """The entry by which sagas begin."""
    return orders._reactions["place"]


def _orders(service: EventService, wishes: Wishes) -> None:
    @service.entry()
    def place(order: Order, ctx: EventContext) -> OrderPlaced:
        deed = apply(ctx)
        return OrderPlaced(order.wishes, deed, wishes.forward(ctx, order.wishes))

    @place.compensate_on(StockRefused, PaymentFailed, ShippingFailed)
    def withdraw(order: Order, placed: OrderPlaced | None, ctx: EventContext) -> None:
        assert placed is not None, "it says its deed"
        take_back(ctx, placed.deed)
        wishes.backward(ctx, order.wishes)

    @service.on(ParcelShipped, kind=Kind.RETRIABLE)
    def close(parcel: ParcelShipped, ctx: EventContext) -> None:
        apply(ctx)
        wishes.forward(ctx, parcel.wishes)


def _inventory(service: EventService, wishes: Wishes) -> None:
    @service.on(OrderPlaced, fails_as=StockRefused)
    def reserve(order: OrderPlaced, ctx: EventContext) -> StockReserved:
        deed = apply(ctx)
        return StockReserved(order.wishes, deed, wishes.forward(ctx, order.wishes))

    @reserve.compensate_on(PaymentFailed, ShippingFailed)
    def release(order: OrderPlaced, reserved: StockReserved | None, ctx: EventContext) -> StockReleased:
        assert reserved is not None, "it says its deed"
        take_back(ctx, reserved.deed)
        wishes.backward(ctx, order.wishes)
        return StockReleased(reserved.deed)


def _payments(service: EventService, wishes: Wishes) -> None:
    @service.on(StockReserved, fails_as=PaymentFailed)
    async def charge(stock: StockReserved, ctx: EventContext) -> PaymentCharged:
        deed = new_deed()
        await ctx.db.execute(INSERT, line_of(ctx, "applied", deed))
        await asyncio.sleep(0)
        return PaymentCharged(stock.wishes, deed, wishes.forward(ctx, stock.wishes))

    # A chain: money goes back once the goods are free again.
    @charge.compensate_on(StockReleased)
    async def refund(stock: StockReserved, charged: PaymentCharged | None, ctx: EventContext) -> None:
        assert charged is not None, "it says its deed"
        await ctx.db.execute(INSERT, line_of(ctx, "undone", charged.deed))
        wishes.backward(ctx, stock.wishes)


def _shipping(service: EventService, wishes: Wishes) -> None:
    @service.on(PaymentCharged, fails_as=ShippingFailed, kind=Kind.PIVOT)
    def ship(charged: PaymentCharged, ctx: EventContext) -> ParcelShipped:
        deed = apply(ctx)
        return ParcelShipped(charged.wishes, deed, wishes.forward(ctx, charged.wishes))


_DECLARE: Final = {"orders": _orders, "inventory": _inventory, "payments": _payments, "shipping": _shipping}
