"""The messages that the shop and its services agree on.

Dataclasses travel as JSON, so the same order can be typed at a command line. Money is in cents.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a customer asks for: the input of every step of the order saga."""

    sku: str
    """Names the product, such as "tea-green"."""
    quantity: int
    """How many of it, at least one."""
    account: str
    """The account that pays."""
    address: str
    """Street and town."""
    country: str
    """The country as two capital letters."""


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """Goods set aside for one saga: the result of reserving them."""

    sku: str
    """The product."""
    quantity: int
    """How many of it are set aside."""
    total: int
    """What they cost, in cents."""


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """A parcel on its way: the result of shipping."""

    parcel: str
    """Identifies the parcel to the carrier."""
    country: str
    """Where it goes, as two capital letters."""
