"""The events by which orders, inventory and shipping tell each other what has happened.

Each is a fact in the past tense, and carries what those who react to it need: a service asks nobody. A name
has its version inside, so that a service can tell an event that it does not know from one that it does.
Those of payments are protobuf messages: see protos/shop/v1/payment_events.proto.
"""

from dataclasses import dataclass

from amends.choreography import event
from sample_services.contract import Order


@event("shop.v1.OrderPlaced")
@dataclass(frozen=True, kw_only=True)
class OrderPlaced:
    """A customer has ordered; by orders."""

    order: Order
    """What."""


@event("shop.v1.StockReserved")
@dataclass(frozen=True, kw_only=True)
class StockReserved:
    """Goods are set aside; by inventory."""

    order: Order
    """For whom, and where they go."""
    total: int
    """What they cost, in cents."""


@event("shop.v1.StockRefused")
@dataclass(frozen=True, kw_only=True)
class StockRefused:
    """Goods cannot be set aside; by inventory."""

    reason: str
    """Why, for programs."""
    message: str = ""
    """Why, for people."""


@event("shop.v1.StockReleased")
@dataclass(frozen=True, kw_only=True)
class StockReleased:
    """Goods are back on the shelf; by inventory."""

    sku: str
    """The product."""
    quantity: int
    """How many of it."""


@event("shop.v1.ParcelShipped")
@dataclass(frozen=True, kw_only=True)
class ParcelShipped:
    """A parcel is on its way; by shipping. From here an order only goes forward."""

    parcel: str
    """Identifies the parcel to the carrier."""


@event("shop.v1.ShippingFailed")
@dataclass(frozen=True, kw_only=True)
class ShippingFailed:
    """No carrier takes the parcel; by shipping."""

    reason: str
    """Why, for programs."""
    message: str = ""
    """Why, for people."""
