"""Gathers calls into batches: whatever arrived while the last transaction ran goes into the next.

Nobody waits on a timer. Under little load a batch is one call; under much load batches grow by themselves,
and with them what one commit pays for. Plain calls and async ones take turns, a transaction each, because an
async handler may keep its transaction waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from amends._fence import Fence, Ledger
from amends._participant import faults
from amends._participant.batch import run_async, run_plain
from amends._participant.call import Call, Response
from amends.errors import Fault

T = TypeVar("T")

BATCH_CALLS_MAX: Final = 256
"""The calls of one transaction: enough to make a sync cheap for each, few enough to last milliseconds."""

WAITING_CALLS_MAX: Final = 10_000
"""The calls that may wait: a second or two of work. Beyond that, being told to come back is better."""

_log = logging.getLogger("amends.participant")


class Gatherer:
    """Owns the only task that opens transactions on a fence."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._plain: deque[Call] = deque()
        self._async: deque[Call] = deque()
        self._wake = asyncio.Event()
        self._transaction = asyncio.Lock()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="amends gatherer")

    def submit(self, calls: Iterable[Call], *, in_thread: bool) -> None:
        """Has calls answered: in the connection's thread if their handlers are plain, else in the loop."""
        queue = self._plain if in_thread else self._async
        room = WAITING_CALLS_MAX - len(self._plain) - len(self._async)
        for call in calls:
            # A part of a call that was let in before is let in again: refusing it would waste what was done.
            if self._closing or (room <= 0 and call.perform is None):
                call.on_answer(faults.stopping() if self._closing else faults.overloaded())
                continue
            room -= 1
            queue.append(call)
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
            _log.critical("the participant cannot answer calls any more", exc_info=True)
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
        calls = _take(self._plain)
        if not calls:
            return
        try:
            await self._fence.run(lambda ledger: run_plain(ledger, calls))
        except Exception:
            _log.exception("a batch of %d calls failed", len(calls))
            _fail(calls)
        except BaseException:
            _fail(calls)
            _answer(calls)
            raise
        _answer(calls)

    async def _async_batch(self) -> None:
        calls = _take(self._async)
        if not calls:
            return
        done = len(calls)
        try:
            done = await run_async(self._fence, calls)
        except Exception:
            _log.exception("a batch of %d calls failed", len(calls))
            _fail(calls)
        except BaseException:
            _fail(calls)
            _answer(calls)
            raise
        self._async.extendleft(reversed(calls[done:]))
        _answer(calls[:done])


def resolver(waiter: asyncio.Future[Response | Fault]) -> Callable[[Response | Fault], None]:
    """Makes what hands an answer to a future, unless nobody waits on it any more."""

    def resolve(answer: Response | Fault) -> None:
        if not waiter.done():
            waiter.set_result(answer)

    return resolve


def _take(queue: deque[Call]) -> list[Call]:
    return [queue.popleft() for _ in range(min(len(queue), BATCH_CALLS_MAX))]


def _fail(calls: Sequence[Call]) -> None:
    for call in calls:
        call.answer = faults.internal()


def _answer(calls: Sequence[Call]) -> None:
    for call in calls:
        answer: Response | Fault = call.answer or faults.internal()
        call.on_answer(answer)
