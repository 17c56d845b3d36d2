"""Runs the service: `python -m sample_services.inventory --help`."""

import sys

from sample_services.inventory import reactions
from sample_services.inventory.ledger import BOOKKEEPING
from sample_services.inventory.service import inventory
from sample_services.serving import run

sys.exit(
    run(BOOKKEEPING, lambda store, _: inventory(store), lambda bus, store, _: reactions.inventory(bus, store))
)
