"""The rules of the three services, through the SDK and on real ledgers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from google.type.money_pb2 import Money

from amends._payload import unpack
from amends.v1.participant_pb2 import DescribeResponse
from sample_services.contract import Reservation
from sample_services.inventory.ledger import BOOKKEEPING as INVENTORY
from sample_services.inventory.service import inventory
from sample_services.payments.ledger import BOOKKEEPING as PAYMENTS
from sample_services.payments.service import payments
from sample_services.shipping.service import shipping
from sample_services.turnstile import Turnstile
from tests.samples.counter import Counter, opened_counter


async def test_inventory_sets_goods_aside_and_says_what_they_cost(stock: Counter) -> None:
    response = await stock.try_(quantity=2)
    reservation = unpack(response.succeeded.result, Reservation)
    assert reservation == Reservation(sku="tea-green", quantity=2, total=1300)
    assert stock.amounts == [-2]
    assert stock.book.balances["tea-green"].closing == 398


async def test_inventory_puts_goods_back(stock: Counter) -> None:
    await stock.try_(quantity=2)
    await stock.compensate()
    assert stock.amounts == [-2, 2]
    assert stock.book.balances["tea-green"].closing == 400


async def test_inventory_gives_away_the_last_piece_and_no_more(stock: Counter) -> None:
    assert (await stock.try_("first", sku="pot-iron", quantity=3)).HasField("succeeded")
    response = await stock.try_("second", sku="pot-iron", quantity=1)
    assert response.rejected.reason == "OUT_OF_STOCK"
    assert response.rejected.metadata == {"in_stock": "0"}
    assert stock.book.balances["pot-iron"].closing == 0


async def test_inventory_never_sells_more_than_it_has_to_orders_that_come_at_once(
    stock: Counter,
) -> None:
    orders = (stock.try_(f"s{number}", sku="pot-iron", quantity=1) for number in range(8))
    responses = await asyncio.gather(*orders)
    assert sum(response.HasField("succeeded") for response in responses) == 3
    assert stock.amounts == [-1, -1, -1]


async def test_inventory_rejects_a_product_it_does_not_know(stock: Counter) -> None:
    response = await stock.try_(sku="coffee")
    assert response.rejected.reason == "UNKNOWN_PRODUCT"


async def test_inventory_rejects_an_order_of_nothing(stock: Counter) -> None:
    response = await stock.try_(quantity=0)
    assert response.rejected.reason == "INVALID_QUANTITY"
    assert stock.amounts == []


async def test_payments_charge_what_was_reserved(bank: Counter) -> None:
    response = await bank.try_(total=1305)
    charged = unpack(response.succeeded.result, Money)
    assert charged == Money(currency_code="EUR", units=13, nanos=50_000_000)
    assert bank.amounts == [-1305]


async def test_payments_refund_to_the_cent(bank: Counter) -> None:
    await bank.try_(total=1305)
    await bank.compensate()
    assert bank.amounts == [-1305, 1305]
    assert bank.book.balances["ada"].closing == 500_000


async def test_payments_reject_an_account_that_is_short(bank: Counter) -> None:
    response = await bank.try_(account="linus", total=1001)
    assert response.rejected.reason == "INSUFFICIENT_FUNDS"
    assert response.rejected.metadata == {"missing_cents": "1"}
    assert bank.amounts == []


async def test_payments_take_the_last_cent(bank: Counter) -> None:
    assert (await bank.try_(account="linus", total=1000)).HasField("succeeded")
    assert bank.book.balances["linus"].closing == 0


async def test_payments_reject_an_account_they_do_not_know(bank: Counter) -> None:
    response = await bank.try_(account="nobody")
    assert response.rejected.reason == "UNKNOWN_ACCOUNT"


async def test_shipping_hands_over_a_parcel_and_calls_it_back(carrier: Counter) -> None:
    response = await carrier.try_()
    assert unpack(response.succeeded.result, dict) == {"parcel": "s/ship", "country": "NL"}
    await carrier.compensate()
    assert carrier.amounts == [1, -1]


async def test_shipping_rejects_a_country_it_does_not_serve(carrier: Counter) -> None:
    response = await carrier.try_(country="AQ")
    assert response.rejected.reason == "ADDRESS_NOT_SERVED"
    assert response.rejected.metadata == {"country": "AQ"}
    assert carrier.amounts == []


async def test_shipping_rejects_an_order_without_an_address(carrier: Counter) -> None:
    response = await carrier.try_(address="")
    assert response.rejected.reason == "ADDRESS_MISSING"


async def test_p4_a_repeated_try_charges_once(bank: Counter) -> None:
    responses = await asyncio.gather(*(bank.try_() for _ in range(4)))
    assert all(response == responses[0] for response in responses)
    assert bank.amounts == [-1300]


async def test_p4_a_repeated_compensate_refunds_once(bank: Counter) -> None:
    await bank.try_()
    await asyncio.gather(*(bank.compensate() for _ in range(4)))
    assert bank.amounts == [-1300, 1300]


async def test_p5_a_charge_that_comes_after_its_refund_has_no_effect(bank: Counter) -> None:
    await bank.compensate()
    response = await bank.try_()
    assert response.rejected.reason == "ALREADY_COMPENSATED"
    assert bank.amounts == []
    assert bank.book.fence == {("s", "charge"): "TOMBSTONE"}


async def test_a_ledger_is_seeded_on_the_first_start_only(ledger: Path) -> None:
    for saga in ("first", "second"):
        service = inventory(f"sqlite:///{ledger}")
        async with opened_counter(service, "reserve", INVENTORY, ledger) as counter:
            assert (await counter.try_(saga, sku="pot-iron", quantity=1)).HasField("succeeded")
    assert counter.book.balances["pot-iron"].closing == 1


def test_the_services_describe_what_they_take_and_give(ledger: Path) -> None:
    store = f"sqlite:///{ledger}"
    services = (inventory(store), payments(store, Turnstile()), shipping(store))
    described = {service.name: _types(service.describe()) for service in services}
    struct = "google.protobuf.Struct"
    assert described == {
        "inventory": [("reserve", struct, struct, True)],
        "payments": [("charge", struct, "google.type.Money", True)],
        "shipping": [("ship", struct, struct, True)],
    }


async def test_a_closed_turnstile_holds_a_charge_until_it_is_opened(ledger: Path, tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path)
    turnstile.close("charge")
    service = payments(f"sqlite:///{ledger}", Turnstile(tmp_path))
    async with opened_counter(service, "charge", PAYMENTS, ledger) as counter:
        charge = asyncio.create_task(counter.try_())
        await turnstile.wait_until_reached("charge")
        assert counter.amounts == []
        turnstile.open("charge")
        assert (await charge).HasField("succeeded")
    assert counter.amounts == [-1300]


def _types(described: DescribeResponse) -> list[tuple[str, str, str, bool]]:
    return [
        (action.name, action.input_type, action.result_type, action.compensatable)
        for action in described.actions
    ]
