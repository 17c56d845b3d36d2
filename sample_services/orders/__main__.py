"""Runs the service: `python -m sample_services.orders --help`."""

import sys

from amends.errors import UsageError
from sample_services.orders.door import Door
from sample_services.orders.ledger import BOOKKEEPING
from sample_services.orders.reactions import orders
from sample_services.serving import DEFAULT_LISTEN, GRACE_S, parser_for, show


def main() -> int:
    """Serves, or shows the ledger; returns the exit status."""
    parser = parser_for("orders")
    parser.add_argument("--bus", default="sqlite:///bus.db", metavar="URL", help="where events are")
    options = parser.parse_args()
    if options.ledger:
        return show(BOOKKEEPING, options.ledger, as_json=options.json)
    try:
        built = orders(options.bus, options.store)
    except UsageError as error:
        parser.error(str(error))
    built.service.serve(grace=GRACE_S, alongside=Door(built, options.listen or DEFAULT_LISTEN))
    return 0


if __name__ == "__main__":
    sys.exit(main())
