"""The inventory in choreography: sets goods aside when an order is placed, and puts them back in its turn.

Goods go back once the money has: when it never came, at once; when it did, after payments have said that
it is returned. So the order in which things are undone is a matter of who reacts to what.
"""

from amends.choreography import EventContext, EventService
from sample_services.events import OrderPlaced, StockRefused, StockReleased, StockReserved
from sample_services.inventory import stock
from sample_services.inventory.ledger import SCHEMA
from sample_services.protos.shop.v1.payment_events_pb2 import PaymentFailed, PaymentRefunded


def inventory(bus: str, store: str) -> EventService:
    """Returns the service on a bus and a store, such as "sqlite:///bus.db" and "sqlite:///inventory.db"."""
    service = EventService("inventory", bus=bus, store=store, schema=SCHEMA)

    @service.on(OrderPlaced, fails_as=StockRefused)
    def reserve(placed: OrderPlaced, ctx: EventContext) -> StockReserved:
        """Sets goods aside for an order."""
        reservation = stock.set_aside(placed.order, ctx)
        return StockReserved(order=placed.order, total=reservation.total)

    @reserve.compensate_on(PaymentFailed, PaymentRefunded)
    def release(placed: OrderPlaced, reserved: StockReserved, ctx: EventContext) -> StockReleased:
        """Puts the goods back."""
        stock.put_back(placed.order, ctx)
        return StockReleased(sku=placed.order.sku, quantity=placed.order.quantity)

    return service
