"""The services of a round: each has steps of both shapes. See `shapes` for how they hang together."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from amends.choreography import EventContext, EventService, Kind, Reaction
from tests.chaos.choreography import events as e
from tests.chaos.choreography.conduct import APPLIED, Conduct
from tests.chaos.choreography.shapes import DESK, GATE, PURSE, STOCK

Entries = dict[str, Reaction[e.Order, Any]]
"""By the shape that they begin."""


def add_desk(desk: EventService, conduct: Conduct) -> Entries:
    """Declares the service where sagas begin, all in plain functions."""

    @desk.entry(name="open")
    def open_(order: e.Order, ctx: EventContext) -> e.Opened:
        return e.Opened(order.wishes, conduct.apply(order.wishes, ctx))

    @open_.compensate_on(e.ReserveRefused, e.ChargeRefused, e.Released)
    def unopen(order: e.Order, opened: e.Opened, ctx: EventContext) -> None:
        conduct.undo(order.wishes, opened.deed, ctx)

    @desk.on(e.Shipped, kind=Kind.RETRIABLE)
    def close(shipped: e.Shipped, ctx: EventContext) -> None:
        conduct.apply(shipped.wishes, ctx)

    @desk.entry()
    def ask(order: e.Order, ctx: EventContext) -> e.Asked:
        return e.Asked(order.wishes, conduct.apply(order.wishes, ctx))

    @ask.compensate_on(e.HoldRefused, e.LetGo)
    def unask(order: e.Order, asked: e.Asked, ctx: EventContext) -> None:
        conduct.undo(order.wishes, asked.deed, ctx)

    @desk.on(e.Delivered, fails_as=e.FinishRefused, effect_free=True)
    def finish(delivered: e.Delivered, ctx: EventContext) -> None:
        conduct.apply(delivered.wishes, ctx)

    return {"fan": open_, "line": ask}


def add_stock(stock: EventService, conduct: Conduct) -> Entries:
    """Declares a service all in plain functions."""

    @stock.on(e.Opened, fails_as=e.ReserveRefused)
    def reserve(opened: e.Opened, ctx: EventContext) -> e.Reserved:
        return e.Reserved(opened.wishes, conduct.apply(opened.wishes, ctx))

    @reserve.compensate_on(e.ChargeRefused, e.Refunded)
    def release(opened: e.Opened, reserved: e.Reserved, ctx: EventContext) -> e.Released:
        return e.Released(conduct.undo(opened.wishes, reserved.deed, ctx))

    @stock.on(e.Shipped, kind=Kind.RETRIABLE)
    def dispatch(shipped: e.Shipped, ctx: EventContext) -> None:
        conduct.apply(shipped.wishes, ctx)

    @stock.on(e.Asked, fails_as=e.HoldRefused)
    def hold(asked: e.Asked, ctx: EventContext) -> e.Held:
        return e.Held(asked.wishes, conduct.apply(asked.wishes, ctx))

    @hold.compensate_on(e.PayRefused, e.PaidBack)
    def let_go(asked: e.Asked, held: e.Held, ctx: EventContext) -> e.LetGo:
        return e.LetGo(conduct.undo(asked.wishes, held.deed, ctx))

    return {}


def add_purse(purse: EventService, conduct: Conduct) -> Entries:
    """Declares a service all in coroutines."""

    @purse.on(e.Opened, fails_as=e.ChargeRefused)
    async def charge(opened: e.Opened, ctx: EventContext) -> e.Charged:
        return e.Charged(opened.wishes, await conduct.apply_async(opened.wishes, ctx))

    @charge.compensate_on(e.ReserveRefused, e.ShipRefused)
    async def refund(opened: e.Opened, charged: e.Charged, ctx: EventContext) -> e.Refunded:
        return e.Refunded(await conduct.undo_async(opened.wishes, charged.deed, ctx))

    @purse.on(e.Held, fails_as=e.PayRefused)
    async def pay(held: e.Held, ctx: EventContext) -> e.Paid:
        return e.Paid(held.wishes, await conduct.apply_async(held.wishes, ctx))

    @pay.compensate_on(e.DeliverRefused, e.Recalled)
    async def pay_back(held: e.Held, paid: e.Paid, ctx: EventContext) -> e.PaidBack:
        return e.PaidBack(await conduct.undo_async(held.wishes, paid.deed, ctx))

    return {}


def add_gate(gate: EventService, conduct: Conduct) -> Entries:
    """Declares a service of which some handlers are coroutines, and which waits for two events."""

    def met(ctx: EventContext, other: str, wishes: dict[str, object], deed: str) -> e.Ready | None:
        found = ctx.db.execute(APPLIED, (ctx.saga_id, other)).fetchone()
        return None if found is None else e.Ready(wishes, deed)

    @gate.on(e.Reserved)
    def meet_stock(reserved: e.Reserved, ctx: EventContext) -> e.Ready | None:
        return met(ctx, "meet_purse", reserved.wishes, conduct.apply(reserved.wishes, ctx))

    @meet_stock.compensate_on(e.ChargeRefused, e.ShipRefused)
    def unmeet_stock(reserved: e.Reserved, _ready: e.Ready | None, ctx: EventContext) -> None:
        conduct.undo(reserved.wishes, _own_deed(ctx), ctx)

    @gate.on(e.Charged)
    def meet_purse(charged: e.Charged, ctx: EventContext) -> e.Ready | None:
        return met(ctx, "meet_stock", charged.wishes, conduct.apply(charged.wishes, ctx))

    @meet_purse.compensate_on(e.ReserveRefused, e.ShipRefused)
    def unmeet_purse(charged: e.Charged, _ready: e.Ready | None, ctx: EventContext) -> None:
        conduct.undo(charged.wishes, _own_deed(ctx), ctx)

    @gate.on(e.Ready, fails_as=e.ShipRefused, kind=Kind.PIVOT)
    async def ship(ready: e.Ready, ctx: EventContext) -> e.Shipped:
        return e.Shipped(ready.wishes, await conduct.apply_async(ready.wishes, ctx))

    @gate.on(e.Paid, fails_as=e.DeliverRefused)
    async def deliver(paid: e.Paid, ctx: EventContext) -> e.Delivered:
        return e.Delivered(paid.wishes, await conduct.apply_async(paid.wishes, ctx))

    @deliver.compensate_on(e.FinishRefused)
    async def recall(paid: e.Paid, delivered: e.Delivered, ctx: EventContext) -> e.Recalled:
        return e.Recalled(await conduct.undo_async(paid.wishes, delivered.deed, ctx))

    return {}


def _own_deed(ctx: EventContext) -> str:
    """The deed of a step that need not have returned it."""
    found: str = ctx.db.execute(APPLIED, (ctx.saga_id, ctx.step)).fetchone()[0]
    return found


ADD: Final[Mapping[str, Callable[[EventService, Conduct], Entries]]] = {
    DESK: add_desk,
    STOCK: add_stock,
    PURSE: add_purse,
    GATE: add_gate,
}
"""What declares the reactions of each service, and returns its entries."""
