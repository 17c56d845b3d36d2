"""What runs while a service is open: its database, its bus, and every task around them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

from google.protobuf import any_pb2

from amends._bus.interface import Bus, Message
from amends._choreography import metrics, outbox, queries
from amends._choreography.consuming import Consumer
from amends._choreography.disposition import Disposition
from amends._choreography.entering import Begun, enter
from amends._choreography.membership import Membership
from amends._choreography.reacting import Reactor, connection_of
from amends._choreography.reaction import Reaction
from amends._choreography.relay import Relay
from amends._choreography.retrying import Retrier
from amends._choreography.sweeping import sweep_for_ever
from amends._choreography.work import SteppedJob
from amends._fence import Fence, Ledger
from amends._ids import new_saga_id
from amends._participant.tracing import current
from amends._transactions.gatherer import Gatherer, resolver
from amends.errors import Fault, StartError

T = TypeVar("T")

RETENTION_MARGIN_S: Final = 7 * 24 * 3600.0
"""How much longer inbox and fence have to remember than the bus keeps events: the days in which a saga may go
on, and a dead letter may be replayed."""

OBSERVE_S: Final = 5.0
"""How often to tell how much waits: as often as meters are read."""

_log = logging.getLogger("amends.choreography")


class Engine:
    """Owns an open database and the tasks that work on it; with a bus, those that consume and publish too."""

    def __init__(
        self,
        fence: Fence,
        reactor: Reactor,
        reactions: Iterable[Reaction[Any, Any]],
        retention: timedelta,
    ) -> None:
        handlers = [
            handler
            for each in reactions
            for handler in (each.handler, *(undoing.handler for undoing in each.compensations.values()))
        ]
        self._in_thread = not any(handler.is_async for handler in handlers)
        self._fence = fence
        self._reactor = reactor
        self._retention = retention
        self._gatherer = Gatherer(fence)
        self._retrier = Retrier(
            reactor, self._gatherer, in_thread=self._in_thread, on_disposition=self._dealt_with
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._consumer: Consumer | None = None
        self._consuming: asyncio.Task[None] | None = None
        self._relay: Relay | None = None
        self._bus: Bus | None = None

    async def join(self, bus: Bus, membership: Membership, *, relays: bool) -> None:
        """Begins to consume and to publish.

        Raises:
            BusError: the bus is there and cannot be used, or another service has the name.
        """
        self._bus = bus  # closed in any case, however far it came to be open
        await bus.open()
        if bus.retention + RETENTION_MARGIN_S > self._retention.total_seconds():
            raise StartError(
                f"retention is {_days(self._retention.total_seconds())}, and the bus may deliver an event "
                f"again after {_days(bus.retention)}: set it to at least "
                f"{_days(bus.retention + RETENTION_MARGIN_S)}, or an event has its effect twice"
            )
        await membership.begin(bus, await self._gatherer.between_batches(self._service_id))
        self._consumer = Consumer(
            bus,
            self._reactor,
            self._gatherer,
            in_thread=self._in_thread,
            on_disposition=self._dealt_with,
        )
        await self._consumer.join()
        if relays:
            self._relay = Relay(bus, self._gatherer.between_batches)
            self._start(self._publish(self._consumer, self._relay), "relay")
        self._start(membership.run(bus), "membership")
        self._start(self._retrier.run(), "retrier")
        self._start(sweep_for_ever(self._gatherer, self._retention), "sweeper")
        self._start(self._observe_for_ever(), "observer")
        self._consuming = self._start(self._consume(self._consumer, membership), "consumer")

    async def begin(self, entry: Reaction[Any, Any], payload: any_pb2.Any, saga_id: str | None) -> Begun:
        """Begins a saga. Raises what the entry raises."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        chosen = saga_id or new_saga_id()
        steps = partial(enter, reactor=self._reactor, entry=entry, saga_id=chosen, payload=payload)
        fields: dict[str, object] = {"service": self._reactor.service, "saga_id": chosen}
        job = SteppedJob(steps, resolver(waiter), fields, current(), is_part=False)
        self._gatherer.submit([job], in_thread=self._in_thread)
        answer = await waiter
        if isinstance(answer, BaseException):
            raise answer
        self._wake_relay()
        begun: Begun = answer
        return begun

    async def handle(self, message: Message) -> Disposition:
        """Deals with one event, as if a bus had delivered it."""
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        steps = partial(self._reactor.receive, message=message)
        job = SteppedJob(steps, resolver(waiter), {"service": self._reactor.service}, None)
        self._gatherer.submit([job], in_thread=self._in_thread)
        answer: Disposition | Fault = await waiter
        if isinstance(answer, Fault):
            raise answer
        return answer

    async def ended(self) -> None:
        """Waits until something ends that should not, and raises why; or until `close`."""
        broken = asyncio.ensure_future(self._gatherer.ended())
        done, _ = await asyncio.wait([*self._tasks, broken], return_when=asyncio.FIRST_COMPLETED)
        broken.cancel()
        for task in done:
            await task

    async def close(self, grace: float) -> None:
        """Finishes what was taken in, for at most `grace` seconds; what is not finished comes again."""
        end = time.monotonic() + grace
        async with AsyncExitStack() as closing:  # each part in any case, the last opened first
            closing.push_async_callback(self._fence.close)
            if self._bus is not None:
                closing.push_async_callback(self._bus.close)
            closing.push_async_callback(self._gatherer.close)
            if self._relay is not None:
                closing.push_async_callback(self._relay.close)
            await self._stop_consuming(grace)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._relay is not None:
                await self._publish_the_rest(self._relay, end)

    async def _publish_the_rest(self, relay: Relay, end: float) -> None:
        try:
            async with asyncio.timeout(max(0.1, end - time.monotonic())):
                while await relay.publish_some():
                    pass
        except TimeoutError:
            pass
        except sqlite3.Error as error:
            _log.warning("what is left in the outbox is published once the service starts again: %s", error)

    async def read(self, work: Callable[[Ledger], T]) -> T:
        """Applies work to the database while no transaction is open."""
        return await self._gatherer.between_batches(work)

    async def retry_all(self) -> list[Disposition]:
        """Tries every waiting event again, whenever it would be due; returns what became of each."""
        return await self._retrier.retry_all()

    async def _stop_consuming(self, grace: float) -> None:
        if self._consumer is None or self._consuming is None:
            return
        self._consumer.stop()
        await asyncio.wait([self._consuming], timeout=grace)

    async def _publish(self, consumer: Consumer, relay: Relay) -> None:
        # What others answer is for this service too, so it has to be known before anything leaves.
        await consumer.until_named()
        await relay.run()

    async def _consume(self, consumer: Consumer, membership: Membership) -> None:
        # Another database may have the name: what it is to get must not be taken before that is known.
        await membership.until_claimed()
        await consumer.run()

    async def _observe_for_ever(self) -> None:
        """Tells from time to time how much waits."""
        while True:
            with suppress(sqlite3.Error):
                metrics.waiting(
                    self._reactor.service, *await self._gatherer.between_batches(self._waiting), time.time()
                )
            await asyncio.sleep(OBSERVE_S)

    def _waiting(self, ledger: Ledger) -> tuple[outbox.Backlog, dict[str, int]]:
        db = connection_of(ledger)
        return outbox.backlog(db), self._reactor.inbox.census(db)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"amends {name}")
        task.add_done_callback(self._watch)
        self._tasks.append(task)
        return task

    def _watch(self, task: asyncio.Task[None]) -> None:
        """Has nothing more taken in once a task has failed: without it the service is not what it claims."""
        if task.cancelled() or task.exception() is None:
            return
        _log.critical(
            "%s has failed, and the service takes no more events",
            task.get_name(),
            exc_info=task.exception(),
            extra={"service": self._reactor.service},
        )
        if self._consumer is not None:
            self._consumer.stop()

    def _dealt_with(self, disposition: Disposition) -> None:
        if disposition in (Disposition.DONE, Disposition.DEAD):
            self._wake_relay()
        if disposition in (Disposition.WAITING, Disposition.DEAD):
            self._retrier.wake()

    def _wake_relay(self) -> None:
        if self._relay is not None:
            self._relay.wake()

    def _service_id(self, ledger: Ledger) -> str:
        db = connection_of(ledger)
        try:
            ledger.begin()
            db.execute(queries.ADD_SERVICE, (self._reactor.service, new_saga_id()))
            ledger.commit()
        except BaseException:
            ledger.rollback()
            raise
        found: str = db.execute(queries.GET_SERVICE, (self._reactor.service,)).fetchone()[0]
        return found


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:g} days"
