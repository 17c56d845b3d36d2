"""Removes fence rows that nobody can ask for any more, a few at a time."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from datetime import timedelta
from typing import Final

from amends._fence import Ledger
from amends._transactions.gatherer import Gatherer

RETENTION_DEFAULT: Final = timedelta(days=90)
"""How long rows are kept. A compensation is retried for ever, so a row must outlast the longest outage, and
the days until an operator resolves a parked saga; a quarter does, at about 300 bytes a row."""

RETENTION_MIN: Final = timedelta(days=7)
"""The shortest retention: a retry may wait a day, and an outage may last a long weekend."""

SWEEP_SECONDS: Final = 600.0
"""How often to look for old rows."""

SWEEP_ROWS: Final = 500
"""The rows removed in one transaction: a few milliseconds in which calls wait."""

_log = logging.getLogger("amends.participant")


async def sweep_for_ever(gatherer: Gatherer, retention: timedelta) -> None:
    """Removes old rows now and from time to time, until cancelled."""
    while True:
        removed = 0
        try:
            removed = await sweep(gatherer, time.time() - retention.total_seconds())
        except sqlite3.Error as error:
            _log.warning("old fence rows could not be removed, next try in %g s: %s", SWEEP_SECONDS, error)
        if removed < SWEEP_ROWS:
            await asyncio.sleep(SWEEP_SECONDS)


async def sweep(gatherer: Gatherer, before: float) -> int:
    """Removes some of the rows last written before a Unix time, and tells how many."""

    def work(ledger: Ledger) -> int:
        try:
            ledger.begin()
            removed = ledger.expire(before, SWEEP_ROWS)
            ledger.commit()
        except BaseException:
            ledger.rollback()
            raise
        return removed

    return await gatherer.between_batches(work)
