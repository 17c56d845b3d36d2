"""Deals again with events that failed, when their time has come."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from opentelemetry.trace import Span

from amends._choreography import metrics, tracing
from amends._choreography.disposition import Disposition
from amends._choreography.inbox import Due
from amends._choreography.reacting import Reactor, connection_of
from amends._choreography.work import SteppedJob
from amends._definition import Retry
from amends._fence import Ledger
from amends._transactions.gatherer import Gatherer, resolver

DUE_MAX: Final = 100
"""Events that are tried again together: few, so that new ones get their turn."""

POLL_S: Final = 1.0
"""How often to look, at least: another process of the service may have put something aside, and a replay may
have let parked events go."""

BLOCKED_S: Final = 1.0
"""How long to wait when the database takes nothing at all."""

ATTEMPTS_MAX: Final = 20
INITIAL_BACKOFF_S: Final = 0.1
BACKOFF_MULTIPLIER: Final = 2.0
MAX_BACKOFF_S: Final = 30.0
"""What a policy leaves out. Together they ride out an outage of some three minutes, on average."""

_log = logging.getLogger("amends.choreography")


class Retrier:
    """Owns the times at which something is due."""

    def __init__(
        self,
        reactor: Reactor,
        gatherer: Gatherer,
        *,
        in_thread: bool,
        on_disposition: Callable[[Disposition], None],
    ) -> None:
        self._reactor = reactor
        self._gatherer = gatherer
        self._in_thread = in_thread
        self._on_disposition = on_disposition
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Says that something may have come to be due."""
        self._woken.set()

    async def run(self) -> None:
        """Retries until cancelled."""
        while True:
            self._woken.clear()
            wait = POLL_S
            try:
                due, next_at = await self._gatherer.between_batches(self._look)
            except sqlite3.Error as error:
                _log.warning("events that wait cannot be read, next try in %g s: %s", POLL_S, error)
            else:
                if due:
                    if not await self._retry(due):
                        await asyncio.sleep(BLOCKED_S)
                    continue
                wait = POLL_S if next_at is None else min(POLL_S, max(0.0, next_at - time.time()))
            # Not by wait_for, which in Python 3.11 loses a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()

    async def retry_all(self) -> list[Disposition]:
        """Tries everything again that waits, whenever it would be due; returns what became of each."""
        waiting = await self._gatherer.between_batches(
            lambda ledger: self._reactor.inbox.all_waiting(connection_of(ledger))
        )
        return await self._retry(waiting)

    def _look(self, ledger: Ledger) -> tuple[list[Due], float | None]:
        db = connection_of(ledger)
        return self._reactor.inbox.due(db, time.time(), DUE_MAX), self._reactor.inbox.next_due(db)

    async def _retry(self, due: list[Due]) -> list[Disposition]:
        """Tries some events again; leaves out those about which the database takes nothing now."""
        loop = asyncio.get_running_loop()
        waiters: list[asyncio.Future[Any]] = []
        jobs = []
        for each in due:
            waiter: asyncio.Future[Any] = loop.create_future()
            fields: dict[str, object] = {"service": self._reactor.service, "saga_id": each.saga_id}
            steps = partial(self._reactor.retry, due=each)
            context, span = tracing.begin_processing(
                each.subject, self._reactor.service, each.saga_id, each.traceparent
            )
            waiter.add_done_callback(partial(_ended, span))
            give_up = partial(self._reactor.put_aside_again, due=each)
            jobs.append(SteppedJob(steps, resolver(waiter), fields, context, give_up=give_up))
            waiters.append(waiter)
        self._gatherer.submit(jobs, in_thread=self._in_thread)
        began = time.monotonic()
        dispositions = [each for each in await asyncio.gather(*waiters) if isinstance(each, Disposition)]
        for disposition in dispositions:
            metrics.consumed(self._reactor.service, disposition, time.monotonic() - began)
            self._on_disposition(disposition)
        return dispositions


def _ended(span: Span | None, waiter: asyncio.Future[Any]) -> None:
    if not waiter.cancelled():
        answer = waiter.result()
        tracing.end_processing(span, answer if isinstance(answer, Disposition) else None)


def backoff_of(
    retry: Retry, chance: Callable[[float, float], float] = random.uniform
) -> Callable[[int], float | None]:
    """Makes what says how many seconds to wait after so many failures, with full jitter; None to give up."""
    attempts_max = retry.max_attempts or ATTEMPTS_MAX
    initial = INITIAL_BACKOFF_S if retry.initial_backoff is None else retry.initial_backoff
    multiplier = retry.backoff_multiplier or BACKOFF_MULTIPLIER
    greatest = max(initial, MAX_BACKOFF_S) if retry.max_backoff is None else retry.max_backoff

    def backoff(failures: int) -> float | None:
        if failures >= attempts_max:
            return None
        exponent = min(failures - 1, 1_000)  # a float overflows beyond
        try:
            bound = min(greatest, initial * multiplier**exponent)
        except OverflowError:
            bound = greatest
        return chance(0.0, bound)

    return backoff
