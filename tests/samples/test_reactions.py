"""The choreographed services, each by itself: what it tells when it is told something."""

from __future__ import annotations

from pathlib import Path

from google.type.money_pb2 import Money

from amends._choreography.graph import faults_of
from amends.testing import EventTester
from sample_services.book import Book, Bookkeeping
from sample_services.contract import Order
from sample_services.demo.choreographed.audit import STEPS
from sample_services.events import (
    OrderPlaced,
    ParcelShipped,
    ShippingFailed,
    StockRefused,
    StockReleased,
    StockReserved,
)
from sample_services.inventory.ledger import BOOKKEEPING as INVENTORY
from sample_services.inventory.reactions import inventory
from sample_services.orders.ledger import BOOKKEEPING as ORDERS
from sample_services.orders.reactions import Orders, orders
from sample_services.payments.ledger import BOOKKEEPING as PAYMENTS
from sample_services.payments.reactions import payments
from sample_services.protos.shop.v1.payment_events_pb2 import PaymentCharged, PaymentFailed, PaymentRefunded
from sample_services.shipping.ledger import BOOKKEEPING as SHIPPING
from sample_services.shipping.reactions import shipping
from sample_services.turnstile import Turnstile
from tests.samples.counter import ORDER

BUS = "sqlite:///nowhere.db"

PRICE = Money(currency_code="EUR", units=13)
CHARGED = PaymentCharged(account="ada", price=PRICE, address=ORDER.address, country="NL")


def stock(ledger: Path) -> EventTester:
    return EventTester(inventory(BUS, f"sqlite:///{ledger}"))


def bank(ledger: Path) -> EventTester:
    return EventTester(payments(BUS, f"sqlite:///{ledger}", Turnstile()))


def carrier(ledger: Path) -> EventTester:
    return EventTester(shipping(BUS, f"sqlite:///{ledger}"))


def desk(ledger: Path) -> tuple[Orders, EventTester]:
    built = orders(BUS, f"sqlite:///{ledger}")
    return built, EventTester(built.service)


def amounts(bookkeeping: Bookkeeping, ledger: Path) -> list[int]:
    return [movement.amount for movement in read(bookkeeping, ledger).movements]


def read(bookkeeping: Bookkeeping, ledger: Path) -> Book:
    return bookkeeping.read(ledger)


def test_the_four_services_fit_together(ledger: Path) -> None:
    """Every failure is heard, every effect before it is undone, and nothing fails after the pivot."""
    store = f"sqlite:///{ledger}"
    services = (
        orders(BUS, store).service,
        inventory(BUS, store),
        payments(BUS, store, Turnstile()),
        shipping(BUS, store),
    )
    described = [service.describe() for service in services]
    assert [fault for service in services for fault in faults_of(described, of=service.name)] == []
    steps = {(service.service, reaction.step) for service in described for reaction in service.reactions}
    assert steps == set(STEPS)


async def test_an_order_that_is_placed_is_told(ledger: Path) -> None:
    built, tester = desk(ledger)
    async with tester:
        _, told = await tester.begin(built.place, ORDER)
        assert told.event(OrderPlaced).order == ORDER
    assert amounts(ORDERS, ledger) == [1]


async def test_an_order_is_completed_when_its_parcel_is_on_its_way(ledger: Path) -> None:
    built, tester = desk(ledger)
    async with tester:
        await tester.begin(built.place, ORDER)
        await tester.deliver(ParcelShipped(parcel="p"))
    balances = read(ORDERS, ledger).balances
    assert {kind: balance.closing for kind, balance in balances.items()} == {"placed": 1, "completed": 1}


async def test_an_order_is_cancelled_whoever_refuses_it(ledger: Path) -> None:
    failures = (
        StockRefused(reason="OUT_OF_STOCK", message="none left"),
        PaymentFailed(reason="INSUFFICIENT_FUNDS", message="too dear"),
        ShippingFailed(reason="ADDRESS_NOT_SERVED", message="too far"),
    )
    built, tester = desk(ledger)
    async with tester:
        for failure in failures:
            tester.new_saga()
            await tester.begin(built.place, ORDER)
            await tester.deliver(failure)
    assert amounts(ORDERS, ledger) == [1, -1] * 3
    assert read(ORDERS, ledger).balances["placed"].closing == 0


async def test_inventory_says_what_goods_cost_that_it_set_aside(ledger: Path) -> None:
    async with stock(ledger) as tester:
        told = await tester.deliver(OrderPlaced(order=ORDER))
        assert told.event(StockReserved) == StockReserved(order=ORDER, total=1300)
    assert amounts(INVENTORY, ledger) == [-2]


async def test_inventory_says_by_an_event_what_it_refuses(ledger: Path) -> None:
    order = Order(sku="pot-iron", quantity=4, account="ada", address="Rue 1, Paris", country="FR")
    async with stock(ledger) as tester:
        told = await tester.deliver(OrderPlaced(order=order))
        refused = StockRefused(reason="OUT_OF_STOCK", message="4 of pot-iron wanted, 3 left")
        assert told.event(StockRefused) == refused
    assert amounts(INVENTORY, ledger) == []


async def test_goods_go_back_when_they_are_not_paid(ledger: Path) -> None:
    async with stock(ledger) as tester:
        await tester.deliver(OrderPlaced(order=ORDER))
        told = await tester.deliver(PaymentFailed(reason="INSUFFICIENT_FUNDS"))
        assert told.event(StockReleased) == StockReleased(sku="tea-green", quantity=2)
    assert amounts(INVENTORY, ledger) == [-2, 2]


async def test_goods_go_back_once_the_money_has(ledger: Path) -> None:
    """So inventory does not react to the failure of shipping, but to what payments answer to it."""
    async with stock(ledger) as tester:
        await tester.deliver(OrderPlaced(order=ORDER))
        assert (await tester.deliver(ShippingFailed(reason="ADDRESS_NOT_SERVED"))).types == []
        await tester.deliver(PaymentRefunded(account="ada", price=PRICE))
    assert amounts(INVENTORY, ledger) == [-2, 2]


async def test_payments_charge_what_was_reserved_and_say_where_the_goods_go(ledger: Path) -> None:
    async with bank(ledger) as tester:
        told = await tester.deliver(StockReserved(order=ORDER, total=1300))
        assert told.event(PaymentCharged) == CHARGED
    assert amounts(PAYMENTS, ledger) == [-1300]


async def test_payments_say_by_an_event_which_account_is_short(ledger: Path) -> None:
    async with bank(ledger) as tester:
        told = await tester.deliver(StockReserved(order=ORDER, total=500_001))
        failed = told.event(PaymentFailed)
    assert failed.reason == "INSUFFICIENT_FUNDS"
    assert failed.message == "account ada has 5000.00 EUR, the order costs 5000.01 EUR"
    assert amounts(PAYMENTS, ledger) == []


async def test_money_is_given_back_when_nobody_ships(ledger: Path) -> None:
    async with bank(ledger) as tester:
        await tester.deliver(StockReserved(order=ORDER, total=1300))
        told = await tester.deliver(ShippingFailed(reason="ADDRESS_NOT_SERVED"))
        assert told.event(PaymentRefunded) == PaymentRefunded(account="ada", price=PRICE)
    assert amounts(PAYMENTS, ledger) == [-1300, 1300]


async def test_p4_an_event_that_comes_twice_charges_once(ledger: Path) -> None:
    async with bank(ledger) as tester:
        await tester.deliver(StockReserved(order=ORDER, total=1300))
        assert (await tester.deliver_again()).disposition == "duplicate"
    assert amounts(PAYMENTS, ledger) == [-1300]


async def test_shipping_hands_over_what_is_paid(ledger: Path) -> None:
    async with carrier(ledger) as tester:
        told = await tester.deliver(CHARGED, saga_id="s")
        assert told.event(ParcelShipped) == ParcelShipped(parcel="s/ship")
    assert amounts(SHIPPING, ledger) == [1]


async def test_shipping_says_by_an_event_where_nobody_goes(ledger: Path) -> None:
    async with carrier(ledger) as tester:
        told = await tester.deliver(PaymentCharged(address="Amundsen-Scott Station", country="AQ"))
        failed = ShippingFailed(reason="ADDRESS_NOT_SERVED", message="no carrier goes to AQ")
        assert told.event(ShippingFailed) == failed
    assert amounts(SHIPPING, ledger) == []
