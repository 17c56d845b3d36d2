"""Payments and a client as programs like those in other languages: `python -m tests.samples.stand_in`."""

import argparse
import sys

from google.type.money_pb2 import Money

from amends import BlockingClient, Context, Definition, MethodCall, Step
from sample_services.contract import Order
from sample_services.payments import accounts
from sample_services.payments.service import payments
from sample_services.shop.orders import ORDER
from sample_services.turnstile import Turnstile

SHIP = Step(
    "ship",
    "shipping",
    timeout=30,
    try_method=MethodCall(
        "acme.carrier.v1.Carrier/Book",
        """BookRequest{
            order_ref: saga.id + ", worth " + string(results.charge.units * 100) + " cents",
            address: input.address + ", " + input.country,
            weight_grams: int(results.reserve.quantity) * 250
        }""",
    ),
    compensate_method=MethodCall(
        "acme.carrier.v1.Carrier/CancelBooking", "CancelBookingRequest{booking_id: response.booking_id}"
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("payments", "client"))
    parser.add_argument("--listen")
    parser.add_argument("--store")
    parser.add_argument("--forgets-refunds", action="store_true")
    parser.add_argument("--target")
    parser.add_argument("--account", default="ada")
    parser.add_argument("--country", default="NL")
    parser.add_argument("command", nargs="?", choices=("start", "watch", "cancel"))
    parser.add_argument("saga", nargs="?")
    options = parser.parse_intermixed_args()
    if options.role == "payments":
        if options.forgets_refunds:
            accounts.refund = forget
        payments(f"sqlite:///{options.store}", Turnstile()).serve(options.listen, grace=1)
    else:
        talk(options)


async def forget(account: str, charged: Money, ctx: Context) -> None:
    """A refund that gives nothing back."""


def talk(options: argparse.Namespace) -> None:
    with BlockingClient(options.target) as client:
        if options.command == "start":
            where = {"address": "Herengracht 1", "country": options.country}
            order = Order(sku="tea-green", quantity=2, account=options.account, **where)
            client.start(Definition("order", [*ORDER.steps[:2], SHIP]), order, saga_id=options.saga)
        elif options.command == "cancel":
            client.cancel(options.saga, reason="the customer changed their mind")
        else:
            for event in client.watch(options.saga):
                fact = event.proto.WhichOneof("fact")
                step = getattr(getattr(event.proto, fact), "step", "")
                print(event.proto.sequence, f"{fact} {step}".strip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
