"""The participant `inventory`: plain functions, typed by dataclasses.

Its handlers do nothing but talk to their database, so they are plain `def` and get a plain
`sqlite3.Connection`. Neither looks whether it has run before: that is the fence's business.
"""

from importlib import resources
from sqlite3 import Connection

from amends import Context, Participant, Rejected
from sample_services.contract import Order, Reservation


def inventory(store: str) -> Participant:
    """Returns the service on a store, such as "sqlite:///inventory.db"."""
    schema = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    participant = Participant("inventory", store=store, schema=schema)

    @participant.action
    def reserve(order: Order, ctx: Context) -> Reservation:
        """Sets goods aside for an order."""
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

    @reserve.compensate
    def release(order: Order, reservation: Reservation | None, ctx: Context) -> None:
        """Puts the goods back: as many as were ordered, for fewer are not set aside."""
        _move(ctx, order.sku, order.quantity)

    return participant


def _move(ctx: Context, sku: str, pieces: int) -> None:
    db: Connection = ctx.db
    db.execute("UPDATE product SET in_stock = in_stock + ? WHERE sku = ?", (pieces, sku))
    db.execute(
        "INSERT INTO stock_movement (saga, step, sku, pieces) VALUES (?, ?, ?, ?)",
        (ctx.saga_id, ctx.step, sku, pieces),
    )
