"""The participant `inventory`: plain functions, typed by dataclasses.

Its handlers do nothing but talk to their database, so they are plain `def` and get a plain
`sqlite3.Connection`.
"""

from amends import Context, Participant
from sample_services.contract import Order, Reservation
from sample_services.inventory import stock
from sample_services.inventory.ledger import SCHEMA


def inventory(store: str) -> Participant:
    """Returns the service on a store, such as "sqlite:///inventory.db"."""
    participant = Participant("inventory", store=store, schema=SCHEMA)

    @participant.action
    def reserve(order: Order, ctx: Context) -> Reservation:
        """Sets goods aside for an order."""
        return stock.set_aside(order, ctx)

    @reserve.compensate
    def release(order: Order, reservation: Reservation | None, ctx: Context) -> None:
        """Puts the goods back."""
        stock.put_back(order, ctx)

    return participant
