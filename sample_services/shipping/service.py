"""The participant `shipping`: plain functions, typed by nothing but dicts.

It takes whatever JSON the shop sends and looks at two fields of it. Handy to begin with; a type that
refuses a misspelt field, as the other two services have, is better company in the long run.
"""

from importlib import resources
from sqlite3 import Connection
from typing import Any

from amends import Context, Participant, Rejected


def shipping(store: str) -> Participant:
    """Returns the service on a store, such as "sqlite:///shipping.db"."""
    schema = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    participant = Participant("shipping", store=store, schema=schema)

    @participant.action
    def ship(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Hands a parcel to the carrier."""
        country = order.get("country")
        if not order.get("address"):
            raise Rejected("ADDRESS_MISSING", "a parcel needs an address")
        db: Connection = ctx.db
        if db.execute("SELECT 1 FROM country WHERE code = ?", (country,)).fetchone() is None:
            raise Rejected(
                "ADDRESS_NOT_SERVED",
                f"no carrier goes to {country}",
                metadata={"country": str(country)},
            )
        _move(ctx, country, 1)
        # The key is the same in every attempt, which makes it a good name for what the step brings forth.
        return {"parcel": ctx.idempotency_key, "country": country}

    @ship.compensate
    def cancel_shipment(order: dict[str, Any], shipment: dict[str, Any] | None, ctx: Context) -> None:
        """Calls the parcel back."""
        _move(ctx, order["country"], -1)

    return participant


def _move(ctx: Context, country: Any, parcels: int) -> None:
    db: Connection = ctx.db
    db.execute("UPDATE country SET parcels = parcels + ? WHERE code = ?", (parcels, country))
    db.execute(
        "INSERT INTO parcel_movement (saga, step, country, parcels) VALUES (?, ?, ?, ?)",
        (ctx.saga_id, ctx.step, country, parcels),
    )
