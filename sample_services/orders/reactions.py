"""The orders in choreography: where a saga begins, and where it is known to have completed.

Whichever service says no, the order is cancelled at once, so that the customer need not wait for the money
and the goods to be back: that goes on by itself.
"""

from sqlite3 import Connection
from typing import NamedTuple

from amends.choreography import EventContext, EventService, Kind, Reaction
from sample_services.contract import Order
from sample_services.events import OrderPlaced, ParcelShipped, ShippingFailed, StockRefused
from sample_services.orders.ledger import SCHEMA
from sample_services.protos.shop.v1.payment_events_pb2 import PaymentFailed


class Orders(NamedTuple):
    """The service, and how its sagas begin."""

    service: EventService
    place: Reaction[Order, OrderPlaced]


def orders(bus: str, store: str) -> Orders:
    """Returns the service on a bus and a store, such as "sqlite:///bus.db" and "sqlite:///orders.db"."""
    service = EventService("orders", bus=bus, store=store, schema=SCHEMA)

    @service.entry()
    def place(order: Order, ctx: EventContext) -> OrderPlaced:
        """Writes an order down."""
        _move(ctx, "placed", 1)
        return OrderPlaced(order=order)

    @place.compensate_on(StockRefused, PaymentFailed, ShippingFailed)
    def cancel(order: Order, placed: OrderPlaced, ctx: EventContext) -> None:
        """Cancels the order, with the reason that the failure gave."""
        _move(ctx, "placed", -1, why=ctx.trigger.message)

    @service.on(ParcelShipped, kind=Kind.RETRIABLE)
    def complete(shipped: ParcelShipped, ctx: EventContext) -> None:
        """Notes that the goods are on their way."""
        _move(ctx, "completed", 1)

    return Orders(service, place)


def _move(ctx: EventContext, kind: str, orders: int, *, why: str = "") -> None:
    db: Connection = ctx.db
    db.execute("UPDATE tally SET orders = orders + ? WHERE kind = ?", (orders, kind))
    db.execute(
        "INSERT INTO order_movement (saga, step, kind, orders, why) VALUES (?, ?, ?, ?, ?)",
        (ctx.saga_id, ctx.step, kind, orders, why),
    )
