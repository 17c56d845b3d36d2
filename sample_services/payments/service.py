"""The participant `payments`: coroutines, with a protobuf message as their result.

Its handlers are `async def` and get an `aiosqlite.Connection`, since they may wait for something other
than their database: for the turnstile, with which a demonstration stops a charge halfway.
"""

from importlib import resources

from aiosqlite import Connection
from google.type.money_pb2 import Money

from amends import Context, Participant, Rejected
from sample_services.contract import Order, Reservation
from sample_services.turnstile import Turnstile

CURRENCY = "EUR"
"""The one currency of all accounts."""


def payments(store: str, turnstile: Turnstile) -> Participant:
    """Returns the service on a store, such as "sqlite:///payments.db"."""
    schema = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    participant = Participant("payments", store=store, schema=schema)

    @participant.action
    async def charge(order: Order, ctx: Context) -> Money:
        """Takes the price of the reserved goods from an account."""
        cents = ctx.result("reserve", Reservation).total
        db: Connection = ctx.db
        async with db.execute("SELECT balance FROM account WHERE id = ?", (order.account,)) as rows:
            found = await rows.fetchone()
        if found is None:
            raise Rejected("UNKNOWN_ACCOUNT", f"there is no account {order.account}")
        if found[0] < cents:
            raise Rejected(
                "INSUFFICIENT_FUNDS",
                f"account {order.account} has {euros(found[0])}, the order costs {euros(cents)}",
                metadata={"missing_cents": str(cents - found[0])},
            )
        await _enter(ctx, order.account, -cents)
        await turnstile.pass_through("charge")
        return Money(currency_code=CURRENCY, units=cents // 100, nanos=cents % 100 * 10_000_000)

    @charge.compensate
    async def refund(order: Order, charged: Money, ctx: Context) -> None:
        """Gives the money back."""
        cents = charged.units * 100 + charged.nanos // 10_000_000
        await _enter(ctx, order.account, cents)
        await turnstile.pass_through("refund")

    return participant


def euros(cents: int) -> str:
    """Writes an amount for people."""
    return f"{cents // 100}.{cents % 100:02} {CURRENCY}"


async def _enter(ctx: Context, account: str, cents: int) -> None:
    db: Connection = ctx.db
    await db.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (cents, account))
    await db.execute(
        "INSERT INTO entry (saga, step, account, cents) VALUES (?, ?, ?, ?)",
        (ctx.saga_id, ctx.step, account, cents),
    )
