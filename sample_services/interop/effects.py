"""Prints how many charges of the saga $AMENDS_SAGA_ID are in force: `... interop.effects LEDGER`."""

import os
import sys
from pathlib import Path

from sample_services.payments.ledger import BOOKKEEPING


def effects(ledger: Path, saga: str) -> int:
    """Counts the effects of a saga less those that were undone."""
    movements = [movement for movement in BOOKKEEPING.read(ledger).movements if movement.saga == saga]
    return sum(-1 if movement.undoes else 1 for movement in movements)


if __name__ == "__main__":
    print(effects(Path(sys.argv[1]), os.environ["AMENDS_SAGA_ID"]))
