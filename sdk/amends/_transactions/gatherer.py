"""Gathers jobs into batches: whatever arrived while the last transaction ran goes into the next.

Nobody waits on a timer. Under little load a batch is one job; under much load batches grow by themselves,
and with them what one commit pays for. Plain jobs and async ones take turns, a transaction each, because an
async handler may keep its transaction waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from amends._fence import Fence, Ledger
from amends._transactions import faults
from amends._transactions.batch import run_async, run_plain
from amends._transactions.job import Job

T = TypeVar("T")

BATCH_JOBS_MAX: Final = 256
"""The jobs of one transaction: enough to make a sync cheap for each, few enough to last milliseconds."""

WAITING_JOBS_MAX: Final = 10_000
"""The jobs that may wait: a second or two of work. Beyond that, being told to come back is better."""

_log = logging.getLogger("amends.participant")


class Gatherer:
    """Owns the only task that opens transactions on a fence."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._plain: deque[Job] = deque()
        self._async: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._transaction = asyncio.Lock()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="amends gatherer")

    def submit(self, jobs: Iterable[Job], *, in_thread: bool) -> None:
        """Has jobs done: in the connection's thread if their handlers are plain, else in the loop."""
        queue = self._plain if in_thread else self._async
        room = WAITING_JOBS_MAX - len(self._plain) - len(self._async)
        for job in jobs:
            # A part of what was let in before is let in again: refusing it would waste what was done.
            if self._closing or (room <= 0 and not job.is_part):
                job.on_answer(faults.stopping() if self._closing else faults.overloaded())
                continue
            room -= 1
            queue.append(job)
        self._wake.set()

    async def between_batches(self, work: Callable[[Ledger], T]) -> T:
        """Applies work to the ledger while no transaction is open."""
        async with self._transaction:
            return await self._fence.run(work)

    async def ended(self) -> None:
        """Waits until nothing more is answered: after `close`, or because something went very wrong."""
        await asyncio.wait([self._task])

    async def close(self) -> None:
        """Answers what waits, takes nothing more, and ends."""
        self._closing = True
        self._wake.set()
        await self.ended()

    async def _run(self) -> None:
        try:
            await self._gather()
        except asyncio.CancelledError:
            raise  # the loop is being torn down; a handler's own ends only its call
        except BaseException:
            _log.critical("no more jobs are done: what arrives is told to come back", exc_info=True)
            raise
        finally:
            # Whoever waits, or comes later, is told so: without this task nobody else would ever answer.
            self._closing = True
            for queue in (self._plain, self._async):
                while queue:
                    queue.popleft().on_answer(faults.stopping())

    async def _gather(self) -> None:
        while not self._closing or self._plain or self._async:
            if not self._plain and not self._async:
                self._wake.clear()
                await self._wake.wait()
            async with self._transaction:
                await self._plain_batch()
                await self._async_batch()

    async def _plain_batch(self) -> None:
        jobs = _take(self._plain)
        if not jobs:
            return
        try:
            await self._fence.run(lambda ledger: run_plain(ledger, jobs))
        except Exception:
            _log.exception("a batch of %d jobs failed", len(jobs))
            _fail(jobs)
        except BaseException:
            _fail(jobs)
            _answer(jobs)
            raise
        _answer(jobs)

    async def _async_batch(self) -> None:
        jobs = _take(self._async)
        if not jobs:
            return
        done = len(jobs)
        try:
            done = await run_async(self._fence, jobs)
        except Exception:
            _log.exception("a batch of %d jobs failed", len(jobs))
            _fail(jobs)
        except BaseException:
            _fail(jobs)
            _answer(jobs)
            raise
        self._async.extendleft(reversed(jobs[done:]))
        _answer(jobs[:done])


def resolver(waiter: asyncio.Future[T]) -> Callable[[T], None]:
    """Makes what hands an answer to a future, unless nobody waits on it any more."""

    def resolve(answer: T) -> None:
        if not waiter.done():
            waiter.set_result(answer)

    return resolve


def _take(queue: deque[Job]) -> list[Job]:
    return [queue.popleft() for _ in range(min(len(queue), BATCH_JOBS_MAX))]


def _fail(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.answer = faults.internal()


def _answer(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.on_answer(job.answer or faults.internal())
