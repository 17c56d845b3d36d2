"""Runs the service: `python -m sample_services.payments --help`."""

import sys

from sample_services.payments import reactions
from sample_services.payments.ledger import BOOKKEEPING
from sample_services.payments.service import payments
from sample_services.serving import run

sys.exit(run(BOOKKEEPING, payments, reactions.payments))
