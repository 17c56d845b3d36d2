"""The rules of shipping, whoever asks: which parcels go where, and which nobody takes."""

from sqlite3 import Connection

from amends import Context, Rejected
from amends.choreography import EventContext


def hand_over(address: str, country: str, ctx: Context | EventContext) -> str:
    """Hands a parcel to the carrier; returns what identifies it. Raises Rejected."""
    if not address:
        raise Rejected("ADDRESS_MISSING", "a parcel needs an address")
    db: Connection = ctx.db
    if db.execute("SELECT 1 FROM country WHERE code = ?", (country,)).fetchone() is None:
        raise Rejected("ADDRESS_NOT_SERVED", f"no carrier goes to {country}", metadata={"country": country})
    _move(ctx, country, 1)
    # The key is the same in every attempt, which makes it a good name for what the step brings forth.
    return ctx.idempotency_key


def call_back(country: str, ctx: Context | EventContext) -> None:
    """Calls a parcel back."""
    _move(ctx, country, -1)


def _move(ctx: Context | EventContext, country: str, parcels: int) -> None:
    db: Connection = ctx.db
    db.execute("UPDATE country SET parcels = parcels + ? WHERE code = ?", (parcels, country))
    db.execute(
        "INSERT INTO parcel_movement (saga, step, country, parcels) VALUES (?, ?, ?, ?)",
        (ctx.saga_id, ctx.step, country, parcels),
    )
