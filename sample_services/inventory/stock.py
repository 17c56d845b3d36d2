"""The rules of the inventory, whoever asks: what is set aside, at what price, and when it is refused.

None of them looks whether it has run before: that is the fence's business.
"""

from sqlite3 import Connection

from amends import Context, Rejected
from amends.choreography import EventContext
from sample_services.contract import Order, Reservation


def set_aside(order: Order, ctx: Context | EventContext) -> Reservation:
    """Takes goods from the shelf. Raises Rejected."""
    if order.quantity < 1:
        raise Rejected("INVALID_QUANTITY", f"an order is of one piece or more, not {order.quantity}")
    db: Connection = ctx.db
    found = db.execute("SELECT price, in_stock FROM product WHERE sku = ?", (order.sku,)).fetchone()
    if found is None:
        raise Rejected("UNKNOWN_PRODUCT", f"there is no product {order.sku}")
    price, in_stock = found
    if in_stock < order.quantity:
        raise Rejected(
            "OUT_OF_STOCK",
            f"{order.quantity} of {order.sku} wanted, {in_stock} left",
            metadata={"in_stock": str(in_stock)},
        )
    _move(ctx, order.sku, -order.quantity)
    return Reservation(sku=order.sku, quantity=order.quantity, total=price * order.quantity)


def put_back(order: Order, ctx: Context | EventContext) -> None:
    """Puts goods back: as many as were ordered, for fewer are not set aside."""
    _move(ctx, order.sku, order.quantity)


def _move(ctx: Context | EventContext, sku: str, pieces: int) -> None:
    db: Connection = ctx.db
    db.execute("UPDATE product SET in_stock = in_stock + ? WHERE sku = ?", (pieces, sku))
    db.execute(
        "INSERT INTO stock_movement (saga, step, sku, pieces) VALUES (?, ?, ?, ?)",
        (ctx.saga_id, ctx.step, sku, pieces),
    )
