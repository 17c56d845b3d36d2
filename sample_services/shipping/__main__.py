"""Runs the service: `python -m sample_services.shipping --help`."""

import sys

from sample_services.serving import run
from sample_services.shipping.ledger import BOOKKEEPING
from sample_services.shipping.service import shipping

sys.exit(run(BOOKKEEPING, lambda store, _: shipping(store)))
