"""The rules of payments, whoever asks: what is charged, when it is refused, and what is given back.

They run in coroutines on an `aiosqlite.Connection`, as their handlers may wait for something other than
their database.
"""

from aiosqlite import Connection
from google.type.money_pb2 import Money

from amends import Context, Rejected
from amends.choreography import EventContext

CURRENCY = "EUR"
"""The one currency of all accounts."""


async def charge(account: str, cents: int, ctx: Context | EventContext) -> Money:
    """Takes money from an account. Raises Rejected."""
    db: Connection = ctx.db
    async with db.execute("SELECT balance FROM account WHERE id = ?", (account,)) as rows:
        found = await rows.fetchone()
    if found is None:
        raise Rejected("UNKNOWN_ACCOUNT", f"there is no account {account}")
    if found[0] < cents:
        raise Rejected(
            "INSUFFICIENT_FUNDS",
            f"account {account} has {euros(found[0])}, the order costs {euros(cents)}",
            metadata={"missing_cents": str(cents - found[0])},
        )
    await _enter(ctx, account, -cents)
    return Money(currency_code=CURRENCY, units=cents // 100, nanos=cents % 100 * 10_000_000)


async def refund(account: str, charged: Money, ctx: Context | EventContext) -> None:
    """Gives back what was taken."""
    await _enter(ctx, account, charged.units * 100 + charged.nanos // 10_000_000)


def euros(cents: int) -> str:
    """Writes an amount for people."""
    return f"{cents // 100}.{cents % 100:02} {CURRENCY}"


async def _enter(ctx: Context | EventContext, account: str, cents: int) -> None:
    db: Connection = ctx.db
    await db.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (cents, account))
    await db.execute(
        "INSERT INTO entry (saga, step, account, cents) VALUES (?, ?, ?, ?)",
        (ctx.saga_id, ctx.step, account, cents),
    )
