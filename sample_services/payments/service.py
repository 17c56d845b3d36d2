"""The participant `payments`: coroutines, with a protobuf message as their result.

Its handlers are `async def`, since they may wait for something other than their database: for the
turnstile, with which a demonstration stops a charge halfway.
"""

from google.type.money_pb2 import Money

from amends import Context, Participant
from sample_services.contract import Order, Reservation
from sample_services.payments import accounts
from sample_services.payments.ledger import SCHEMA
from sample_services.turnstile import Turnstile


def payments(store: str, turnstile: Turnstile) -> Participant:
    """Returns the service on a store, such as "sqlite:///payments.db"."""
    participant = Participant("payments", store=store, schema=SCHEMA)

    @participant.action
    async def charge(order: Order, ctx: Context) -> Money:
        """Takes the price of the reserved goods from an account."""
        charged = await accounts.charge(order.account, ctx.result("reserve", Reservation).total, ctx)
        await turnstile.pass_through("charge")
        return charged

    @charge.compensate
    async def refund(order: Order, charged: Money, ctx: Context) -> None:
        """Gives the money back."""
        await accounts.refund(order.account, charged, ctx)
        await turnstile.pass_through("refund")

    return participant
