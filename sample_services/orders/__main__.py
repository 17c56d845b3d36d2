"""Runs the service: `python -m sample_services.orders --help`."""

import asyncio
import sys

from amends.errors import StartError, UsageError
from sample_services.orders.door import serve
from sample_services.orders.ledger import BOOKKEEPING
from sample_services.orders.reactions import orders
from sample_services.serving import DEFAULT_LISTEN, parser_for, show


def main() -> int:
    """Serves, or shows the ledger; returns the exit status."""
    parser = parser_for("orders")
    parser.add_argument("--bus", default="sqlite:///bus.db", metavar="URL", help="where events are")
    options = parser.parse_args()
    if options.ledger:
        return show(BOOKKEEPING, options.ledger, as_json=options.json)
    try:
        asyncio.run(serve(orders(options.bus, options.store), options.listen or DEFAULT_LISTEN))
    except (StartError, UsageError) as error:
        print(f"orders: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
