"""Shipping in choreography: the pivot. Once a parcel is on its way, an order only goes forward."""

from amends.choreography import EventContext, EventService, Kind
from sample_services.events import ParcelShipped, ShippingFailed
from sample_services.protos.shop.v1.payment_events_pb2 import PaymentCharged
from sample_services.shipping import parcels
from sample_services.shipping.ledger import SCHEMA


def shipping(bus: str, store: str) -> EventService:
    """Returns the service on a bus and a store, such as "sqlite:///bus.db" and "sqlite:///shipping.db"."""
    service = EventService("shipping", bus=bus, store=store, schema=SCHEMA)

    @service.on(PaymentCharged, fails_as=ShippingFailed, kind=Kind.PIVOT)
    def ship(charged: PaymentCharged, ctx: EventContext) -> ParcelShipped:
        """Hands a parcel to the carrier."""
        return ParcelShipped(parcel=parcels.hand_over(charged.address, charged.country, ctx))

    return service
