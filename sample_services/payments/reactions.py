"""Payments in choreography: charge once goods are set aside, and give the money back if nobody ships them.

Their events are protobuf messages. Handlers are coroutines, for the same reason as in service.py.
"""

from amends.choreography import EventContext, EventService
from sample_services.events import ShippingFailed, StockReserved
from sample_services.payments import accounts
from sample_services.payments.ledger import SCHEMA
from sample_services.protos.shop.v1.payment_events_pb2 import PaymentCharged, PaymentFailed, PaymentRefunded
from sample_services.turnstile import Turnstile


def payments(bus: str, store: str, turnstile: Turnstile) -> EventService:
    """Returns the service on a bus and a store, such as "sqlite:///bus.db" and "sqlite:///payments.db"."""
    service = EventService("payments", bus=bus, store=store, schema=SCHEMA)

    @service.on(StockReserved, fails_as=PaymentFailed)
    async def charge(reserved: StockReserved, ctx: EventContext) -> PaymentCharged:
        """Takes the price of the reserved goods from an account."""
        order = reserved.order
        charged = await accounts.charge(order.account, reserved.total, ctx)
        await turnstile.pass_through("charge")
        return PaymentCharged(
            account=order.account, price=charged, address=order.address, country=order.country
        )

    @charge.compensate_on(ShippingFailed)
    async def refund(reserved: StockReserved, charged: PaymentCharged, ctx: EventContext) -> PaymentRefunded:
        """Gives the money back."""
        await accounts.refund(charged.account, charged.price, ctx)
        await turnstile.pass_through("refund")
        return PaymentRefunded(account=charged.account, price=charged.price)

    return service
