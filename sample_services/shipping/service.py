"""The participant `shipping`: plain functions, typed by nothing but dicts.

It takes whatever JSON the shop sends and looks at two fields of it. Handy to begin with; a type that
refuses a misspelt field, as the other two services have, is better company in the long run.
"""

from typing import Any

from amends import Context, Participant
from sample_services.shipping import parcels
from sample_services.shipping.ledger import SCHEMA


def shipping(store: str) -> Participant:
    """Returns the service on a store, such as "sqlite:///shipping.db"."""
    participant = Participant("shipping", store=store, schema=SCHEMA)

    @participant.action
    def ship(order: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Hands a parcel to the carrier."""
        country = str(order.get("country"))
        return {"parcel": parcels.hand_over(order.get("address", ""), country, ctx), "country": country}

    @ship.compensate
    def cancel_shipment(order: dict[str, Any], shipment: dict[str, Any] | None, ctx: Context) -> None:
        """Calls the parcel back."""
        parcels.call_back(order["country"], ctx)

    return participant
