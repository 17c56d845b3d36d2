"""Which relay publishes which part of an outbox, when several run on one database.

Whole partitions are leased, and not rows: of two relays that take single rows of one saga, one can publish
the later row first. Moments are the wall clock's, of the one machine that the database is on.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from amends._choreography import queries
from amends._choreography.outbox import PARTITIONS

LEASE_S: Final = 3.0
"""How long a lease lasts. After a relay was killed its events wait so long; one that is stopped for longer
finds its partitions taken."""


class Lease:
    """What one relay holds.

    Invariant: a partition has at most one owner, and its epoch grows whenever that changes.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._epochs: dict[int, int] = {}
        self._until = 0.0

    def is_to_be_renewed(self, now: float) -> bool:
        """Tells whether half of it has passed."""
        return not self._epochs or not now < self._until - LEASE_S / 2 or self._until > now + 2 * LEASE_S

    def take(self, db: sqlite3.Connection, now: float) -> None:
        """Renews what it holds, and takes what nobody holds any more. Has to be in a transaction."""
        cursor = db.execute(queries.LEASES)
        cursor.row_factory = None
        known = {partition: (owner, until) for partition, owner, _epoch, until in cursor}
        self._epochs = {}
        for partition in range(PARTITIONS):
            owner, until = known.get(partition, (self._owner, 0.0))
            # One that is to last longer than any does was given before the clock was set back.
            if owner == self._owner or not now < until <= now + 2 * LEASE_S:
                taken = db.execute(queries.TAKE_LEASE, (partition, self._owner, now + LEASE_S))
                taken.row_factory = None
                self._epochs[partition] = taken.fetchone()[0]
        self._until = now + LEASE_S

    def partitions(self, now: float) -> tuple[int, ...]:
        """The partitions that may be published now."""
        return tuple(self._epochs) if now < self._until else ()

    def still_held(self, db: sqlite3.Connection) -> frozenset[int]:
        """The partitions that nobody has taken meanwhile. Has to be in the transaction that relies on it."""
        cursor = db.execute(queries.LEASES)
        cursor.row_factory = None
        return frozenset(
            partition
            for partition, owner, epoch, _until in cursor
            if owner == self._owner and self._epochs.get(partition) == epoch
        )

    def give_up(self, db: sqlite3.Connection) -> None:
        """Lets others take everything at once."""
        db.execute(queries.GIVE_UP_LEASES, (self._owner,))
        self._epochs = {}
