"""Removes what nobody can ask for any more, a few rows at a time: fence, inbox, and events that were sent."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from datetime import timedelta
from typing import Final

from amends._choreography import queries
from amends._choreography.reacting import connection_of
from amends._fence import Ledger
from amends._transactions.gatherer import Gatherer
from amends._transactions.retention import SWEEP_ROWS, SWEEP_SECONDS

SENT_RETENTION_S: Final = 24 * 3600.0
"""How long events are kept that the bus has: a bus that lost its last hours can be given them again."""

_log = logging.getLogger("amends.choreography")


async def sweep_for_ever(gatherer: Gatherer, retention: timedelta) -> None:
    """Removes old rows now and from time to time, until cancelled."""
    while True:
        removed = 0
        try:
            removed = await sweep(gatherer, time.time(), retention)
        except sqlite3.Error as error:
            _log.warning("old rows could not be removed, next try in %g s: %s", SWEEP_SECONDS, error)
        if removed < SWEEP_ROWS:
            await asyncio.sleep(SWEEP_SECONDS)


async def sweep(gatherer: Gatherer, now: float, retention: timedelta) -> int:
    """Removes some of the rows that are older than their retention at a Unix time; returns how many at most
    went from one table."""
    before = now - retention.total_seconds()

    def work(ledger: Ledger) -> int:
        db = connection_of(ledger)
        try:
            ledger.begin()
            removed = [
                db.execute(queries.EXPIRE_FENCE, (int(before), SWEEP_ROWS)).rowcount,
                db.execute(queries.EXPIRE_INBOX, (int(before), SWEEP_ROWS)).rowcount,
                db.execute(queries.EXPIRE_OUTBOX, (now - SENT_RETENTION_S, SWEEP_ROWS)).rowcount,
            ]
            ledger.commit()
        except BaseException:
            ledger.rollback()
            raise
        return max(removed)

    return await gatherer.between_batches(work)
