"""The shop at a command line: `python -m sample_services.shop --help`."""

import argparse
import sys

from amends import BlockingClient, Saga
from amends.errors import CallError
from sample_services.contract import Order, Reservation
from sample_services.shop.orders import ORDER

DEFAULT_TARGET = "127.0.0.1:50051"
"""Where a coordinator listens by default."""


def main() -> int:
    """Places an order, waits for its end, and returns 0 if the goods are on their way."""
    options = _parser().parse_args()
    order = Order(
        sku=options.sku,
        quantity=options.quantity,
        account=options.account,
        address=options.address,
        country=options.country,
    )
    try:
        with BlockingClient(options.target) as client:
            saga = client.run(ORDER, order)
    except CallError as error:
        print(f"shop: {error}", file=sys.stderr)
        return 1
    print(_told(saga))
    return 0 if saga.completed else 1


def _told(saga: Saga) -> str:
    if saga.completed:
        reservation = saga.result("reserve", Reservation)
        parcel = saga.result("ship", dict)["parcel"]
        return f"{reservation.quantity} of {reservation.sku} are on their way, as parcel {parcel}"
    reason = saga.turn_back.message if saga.turn_back else saga.needs_attention
    return f"not ordered: {reason}; saga {saga.id} is {saga.state}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sample_services.shop", description="Orders by a saga.")
    parser.add_argument("--target", default=DEFAULT_TARGET, metavar="HOST:PORT", help="the coordinator")
    commands = parser.add_subparsers(dest="command", required=True)
    order = commands.add_parser("order", help="places an order and waits for its end")
    order.add_argument("--sku", default="tea-green", help="tea-green, tea-black or pot-iron")
    order.add_argument("--quantity", type=int, default=2)
    order.add_argument("--account", default="ada", help="ada, grace, or linus, who is short")
    order.add_argument("--address", default="Herengracht 1, Amsterdam")
    order.add_argument("--country", default="NL", help="NL, BE, DE or FR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
