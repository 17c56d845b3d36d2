"""Runs the service: `python -m sample_services.shipping --help`."""

import sys

from sample_services.serving import run
from sample_services.shipping import reactions
from sample_services.shipping.ledger import BOOKKEEPING
from sample_services.shipping.service import shipping

sys.exit(
    run(BOOKKEEPING, lambda store, _: shipping(store), lambda bus, store, _: reactions.shipping(bus, store))
)
