"""Takes events from a bus, has each dealt with in a transaction, and tells the bus once that is durable.

Commit comes before the acknowledgement, always: what is lost in between comes again, and the inbox knows it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from amends._bus.interface import (
    Bus,
    Delivery,
    Settlement,
    Subscription,
    Verdict,
)
from amends._choreography import metrics, tracing
from amends._choreography.cloudevent import reference_of, saga_id_of
from amends._choreography.disposition import Disposition
from amends._choreography.reacting import Reactor
from amends._choreography.work import SteppedJob
from amends._transactions.gatherer import Gatherer
from amends.errors import Fault

TOGETHER_MAX: Final = 32
"""Events that are dealt with in one transaction: enough to make its sync cheap for each, few enough that the
next service has something to do meanwhile. As many more are fetched while they are."""

KEEP_S: Final = 3.0
"""How often a bus is told that events are still being worked on: a third of the time it waits for that."""

NAK_DELAY_S: Final = 1.0
"""How long to leave an event with the bus when the database takes nothing at all."""


class Consumer:
    """Owns what this process has taken from the bus and not settled yet."""

    def __init__(
        self,
        bus: Bus,
        reactor: Reactor,
        gatherer: Gatherer,
        *,
        in_thread: bool,
        on_disposition: Callable[[Disposition], None],
    ) -> None:
        """Makes a consumer.

        Args:
            bus: where events come from.
            reactor: what they mean.
            gatherer: makes transactions.
            in_thread: whether every handler of the service is plain.
            on_disposition: told of each event that is dealt with.
        """
        self._bus = bus
        self._reactor = reactor
        self._gatherer = gatherer
        self._in_thread = in_thread
        self._on_disposition = on_disposition
        self._in_flight: dict[int, Delivery] = {}
        self._given_back: set[str] = set()
        self._settlements: list[Settlement] = []
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._settling = asyncio.Lock()
        self._subscription: Subscription | None = None

    async def join(self) -> None:
        """Asks for the service's part, which has to come before `run`.

        Raises:
            BusError: the bus is there and gives no such consumer.
        """
        self._subscription = await self._bus.subscribe(self._reactor.service, self._reactor.families)

    async def until_named(self) -> None:
        """Waits until the bus knows the service: what is published from then on is received."""
        await self._joined().until_named()

    async def run(self) -> None:
        """Consumes until `stop` is called, then returns when everything taken in is settled."""
        subscription = self._joined()
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self._settle_for_ever(subscription), name="amends settling"),
                    group.create_task(self._keep_for_ever(subscription), name="amends keeping"),
                ]
                await self._fetch_until_stopped(subscription)
                await self._until(lambda: not self._in_flight)
                await self._settle(subscription)
                for helper in helpers:
                    helper.cancel()
        finally:
            await subscription.close()

    def stop(self) -> None:
        """Takes nothing more."""
        self._stopping.set()

    def _joined(self) -> Subscription:
        assert self._subscription is not None, "Invariant: a consumer has joined before it runs"
        return self._subscription

    async def _fetch_until_stopped(self, subscription: Subscription) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                fetch = asyncio.ensure_future(subscription.fetch(TOGETHER_MAX))
                try:
                    await asyncio.wait([fetch, stopped], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    fetch.cancel()  # nothing happens to one that is done
                    await asyncio.wait([fetch])
                if fetch.cancelled():
                    return
                await self._until(lambda: not self._in_flight)
                self._take(await self._in_turn(fetch.result(), subscription))
        finally:
            stopped.cancel()

    async def _in_turn(self, deliveries: Sequence[Delivery], subscription: Subscription) -> list[Delivery]:
        """Gives those back too that came behind one which the database did not take.

        A bus holds back what comes after an event that was given back, once it has been told; what it had
        handed out by then would overtake it.
        """
        behind = [delivery for delivery in deliveries if delivery.message.key in self._given_back]
        for delivery in behind:
            self._settle_later(delivery, None)
        if self._given_back:
            await self._settle(subscription)
            self._given_back.clear()
        return [delivery for delivery in deliveries if delivery not in behind]

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        self._in_flight.update((id(delivery), delivery) for delivery in deliveries)
        self._gatherer.submit(map(self._job, deliveries), in_thread=self._in_thread)

    def _job(self, delivery: Delivery) -> SteppedJob:
        message = delivery.message
        service, saga_id = self._reactor.service, saga_id_of(message.headers)
        context, span = tracing.begin_processing(
            message.subject, service, saga_id, message.headers.get("traceparent", "")
        )
        return SteppedJob(
            partial(self._reactor.receive, message=message),
            partial(self._answered, delivery, span, time.monotonic()),
            {"service": service, "saga_id": saga_id, "event": reference_of(message)},
            context,
            give_up=partial(self._reactor.put_aside, message=message),
        )

    def _answered(self, delivery: Delivery, span: Any, began: float, answer: Disposition | Fault) -> None:
        del self._in_flight[id(delivery)]
        disposition = answer if isinstance(answer, Disposition) else None
        tracing.end_processing(span, disposition)
        metrics.consumed(self._reactor.service, disposition, time.monotonic() - began)
        self._settle_later(delivery, disposition)
        if disposition is not None:
            self._on_disposition(disposition)

    def _settle_later(self, delivery: Delivery, disposition: Disposition | None) -> None:
        if disposition is None:
            self._given_back.add(delivery.message.key)
        self._settlements.append(_settlement(delivery, disposition))
        self._changed.set()

    async def _settle(self, subscription: Subscription) -> None:
        # Who comes second has to wait for the first, and not only for what is left: it is about to end.
        async with self._settling:
            taken, self._settlements = self._settlements, []
            await subscription.settle(taken)

    async def _settle_for_ever(self, subscription: Subscription) -> None:
        while True:
            await self._until(lambda: bool(self._settlements))
            await self._settle(subscription)

    async def _keep_for_ever(self, subscription: Subscription) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            if self._in_flight:
                await subscription.keep(list(self._in_flight.values()))

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Waits until something holds that changes only where `_changed` is set."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()


def _settlement(delivery: Delivery, disposition: Disposition | None) -> Settlement:
    if disposition is None:
        return Settlement(delivery=delivery, verdict=Verdict.NAK, delay=NAK_DELAY_S)
    if disposition is Disposition.DEAD:
        return Settlement(delivery=delivery, verdict=Verdict.TERMINATE)
    return Settlement(delivery=delivery, verdict=Verdict.ACK)
