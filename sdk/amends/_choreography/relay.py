"""Publishes what is in an outbox: each saga's events in order, sagas side by side.

A relay publishes before it marks what it has published. If it dies in between, the events are published
again, under the ids that they were given when they were put in, and inboxes know them.

It leases the partitions that it publishes. Whoever is stopped past its lease may publish something again that
its successor has published, which is harmless; it can mark nothing, because the epoch has changed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

from amends._bus.interface import Bus, BusUnavailableError, MessageRefusedError, Receipt
from amends._choreography import leases, metrics, outbox, tracing
from amends._choreography.outbox import Unsent
from amends._choreography.reacting import connection_of
from amends._fence import Ledger

T = TypeVar("T")

BATCH_MAX: Final = 64
"""Events published together: enough to make a sync cheap for each, few enough that others have them soon."""

POLL_S: Final = 0.05
"""How often to look, at least: being woken gives latency, this is the guarantee. What another process of the
service has put in cannot wake this one, and waits so long; a look costs a tenth of a millisecond."""

AWAY_S: Final = 1.0
"""How long to leave a bus alone that is away."""

REFUSALS_MAX: Final = 10
"""How often an event is offered that the bus refuses, before it is given up."""

REFUSAL_BACKOFF_MAX_S: Final = 60.0

_log = logging.getLogger("amends.relay")


class InTransaction(Protocol):
    """Applies work to a ledger while nobody else has a transaction open."""

    def __call__(self, work: Callable[[Ledger], T], /) -> Awaitable[T]:
        """Returns what the work does."""


class Relay:
    """Publishes for one database, to one bus."""

    def __init__(self, bus: Bus, between: InTransaction) -> None:
        """Makes a relay.

        Args:
            bus: where to publish.
            between: gives access to the database.
        """
        self._bus = bus
        self._between = between
        self._lease = leases.Lease(secrets.token_hex(8))
        self._woken = asyncio.Event()
        self._away = False

    def wake(self) -> None:
        """Says that something was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Publishes until cancelled."""
        while True:
            self._woken.clear()
            wait = POLL_S
            try:
                if await self.publish_some():
                    continue
            except sqlite3.Error as error:
                _log.warning("the outbox cannot be read or written, next try in %g s: %s", AWAY_S, error)
                wait = AWAY_S
            if self._away:
                await asyncio.sleep(AWAY_S)  # whatever is committed meanwhile
                continue
            # Not by wait_for, which in Python 3.11 loses a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()

    async def publish_some(self) -> bool:
        """Publishes what is there, up to a bound; tells whether there may be more."""
        rows = await self._between(self._select)
        if not rows:
            return False
        headers = [row.message.headers.get("traceparent", "") for row in rows]
        with tracing.published(self._bus.url, headers):
            answers = await self._bus.publish([row.message for row in rows])
        pairs = list(zip(rows, answers, strict=True))
        sent = [(row, answer) for row, answer in pairs if isinstance(answer, Receipt)]
        refused: list[tuple[Unsent, Any]] = [
            (row, answer) for row, answer in pairs if isinstance(answer, MessageRefusedError)
        ]
        if sent:
            # The bus is there: one that it did not answer must not hold up the next batch as well.
            refused += _firsts(
                (row, answer) for row, answer in pairs if isinstance(answer, BusUnavailableError)
            )
        self._tell(len(rows), len(sent) + len(refused), answers)
        if sent or refused:
            await self._between(lambda ledger: self._mark(ledger, sent, refused))
        metrics.sent(self._bus.url, len(sent))
        return bool(sent)

    async def close(self) -> None:
        """Lets another relay go on at once."""
        with suppress(sqlite3.Error):
            await self._between(self._give_up)

    def _select(self, ledger: Ledger) -> list[Unsent]:
        now = time.time()
        if self._lease.is_to_be_renewed(now):
            with _lightly(ledger):
                self._lease.take(connection_of(ledger), now)
        return outbox.unsent(connection_of(ledger), self._lease.partitions(now), now, BATCH_MAX)

    def _mark(
        self,
        ledger: Ledger,
        sent: Sequence[tuple[Unsent, Receipt]],
        refused: Sequence[tuple[Unsent, Exception]],
    ) -> None:
        now = time.time()
        with _lightly(ledger):
            db = connection_of(ledger)
            mine = self._lease.still_held(db)
            outbox.mark_sent(
                db, [(row.number, receipt) for row, receipt in sent if _partition(row) in mine], now
            )
            for row, error in refused:
                if _partition(row) in mine:
                    self._mark_refused(db, row, error, now)

    def _mark_refused(self, db: sqlite3.Connection, row: Unsent, error: Exception, now: float) -> None:
        attempts = row.attempts + 1
        dead = attempts >= REFUSALS_MAX and isinstance(error, MessageRefusedError)
        wait = min(REFUSAL_BACKOFF_MAX_S, 0.1 * 2 ** min(attempts, 10))
        outbox.mark_refused(db, row.number, str(error), not_before=now + wait, dead_at=now if dead else None)
        fields = {"saga_id": row.message.key, "event": row.message.id}
        if dead:
            _log.error("the bus refuses an event, and later ones of its saga wait: %s", error, extra=fields)
        else:
            _log.warning("the bus has not taken an event, next try in %.3g s: %s", wait, error, extra=fields)

    def _give_up(self, ledger: Ledger) -> None:
        with _lightly(ledger):
            self._lease.give_up(connection_of(ledger))

    def _tell(self, asked: int, decided: int, answers: Sequence[Any]) -> None:
        """Says when the bus goes away and comes back: one that takes or refuses an event is there."""
        away = next((answer for answer in answers if isinstance(answer, BusUnavailableError)), None)
        if away is not None and not decided:
            if not self._away:
                _log.warning("the bus is away, and %d events or more wait in the outbox: %s", asked, away)
            self._away = True
        elif self._away:
            _log.warning("the bus is back")
            self._away = False


@contextmanager
def _lightly(ledger: Ledger) -> Iterator[None]:
    """A transaction without a sync: what a power cut takes of it is done again, and that is harmless."""
    db = connection_of(ledger)
    db.execute("PRAGMA synchronous = NORMAL")
    try:
        ledger.begin()
        yield
        ledger.commit()
    except BaseException:
        ledger.rollback()
        raise
    finally:
        db.execute("PRAGMA synchronous = FULL")


def _firsts(unanswered: Iterable[tuple[Unsent, Any]]) -> list[tuple[Unsent, Any]]:
    """Of each saga the first: those behind it wait for it anyhow."""
    found: dict[str, tuple[Unsent, Any]] = {}
    for row, error in unanswered:
        found.setdefault(row.message.key, (row, error))
    return list(found.values())


def _partition(row: Unsent) -> int:
    return outbox.partition_of(row.message.key)
