"""One process's part in what a service receives: takes messages, hands them out, says what became of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from nats.aio.msg import Msg

from amends._bus.interface import BusError, BusUnavailableError, Delivery, Settlement, Verdict
from amends._bus.nats.connection import Connection
from amends._bus.nats.consumer import Consumers
from amends._bus.nats.messages import read_message
from amends._bus.nats.requests import Requests
from amends._bus.nats.session import delivery_of

_log = logging.getLogger("amends.bus")

_NANOSECONDS: Final = 1_000_000_000

_RETRY_S: Final = 1.0
"""Before consumers are looked after again that could not be had."""


class NatsSubscription:
    """Takes part in what a service receives."""

    def __init__(self, connection: Connection, consumers: Consumers) -> None:
        self._connection = connection
        self._consumers = consumers
        self._gathered: dict[int, Delivery] = {}
        self._handed_out: dict[int, Delivery] = {}
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to take messages, at once if the server can be reached.

        Raises:
            BusError: the consumers cannot be had as they have to be.
        """
        # Those that can be made now are there when this returns: what is published from then on is received.
        with suppress(BusUnavailableError):
            await self._consumers.ensure(self._connection.line())
        self._task = asyncio.create_task(self._keep_taking())

    async def fetch(self, limit: int) -> Sequence[Delivery]:
        """See Subscription."""
        await self._arrived.wait()
        sequences = sorted(self._gathered)[:limit]
        deliveries = [self._gathered.pop(sequence) for sequence in sequences]
        self._handed_out.update(zip(sequences, deliveries, strict=True))
        if not self._gathered:
            self._arrived.clear()
        return deliveries

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """See Subscription."""
        for settlement in settlements:
            delivery = settlement.delivery
            if self._handed_out.get(delivery.sequence) is delivery:
                del self._handed_out[delivery.sequence]
            await self._tell(delivery, _word_for(settlement))

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """See Subscription."""
        for delivery in deliveries:
            await self._tell(delivery, b"+WPI")

    async def close(self) -> None:
        """See Subscription. Gives back what was not settled, so that others need not wait for it."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        for delivery in (*self._handed_out.values(), *self._gathered.values()):
            await self._tell(delivery, b"-NAK")
        self._handed_out.clear()
        self._gathered.clear()
        self._arrived.clear()

    async def _tell(self, delivery: Delivery, word: bytes) -> None:
        # What the server is not told comes again; and the way to it need not be the one the message came by.
        with suppress(BusUnavailableError):
            await self._connection.line().session.send(delivery.handle, word)

    async def _keep_taking(self) -> None:
        while True:
            line = await self._connection.until_there()
            requests = Requests(line, self._consumers, self._take)
            try:
                await requests.serve(self._keep_gathered)
            except BusError as error:
                _log.error("%s", error)
            except BusUnavailableError as error:
                _log.warning("nothing is received until it can be: %s", error)
            finally:
                requests.end()
            await asyncio.sleep(_RETRY_S)

    def _take(self, message: Msg) -> None:
        sequence, number = delivery_of(message.reply)
        # One that comes again, because nobody asked for it in time, takes the place of the earlier delivery.
        self._gathered[sequence] = Delivery(
            message=read_message(message, sequence), sequence=sequence, number=number, handle=message.reply
        )
        self._arrived.set()

    async def _keep_gathered(self) -> None:
        """Keeps what has come and nobody has asked for yet."""
        await self.keep(list(self._gathered.values()))


def _word_for(settlement: Settlement) -> bytes:
    match settlement.verdict:
        case Verdict.ACK:
            return b"+ACK"
        case Verdict.NAK if settlement.delay > 0:
            return b"-NAK " + json.dumps({"delay": int(settlement.delay * _NANOSECONDS)}).encode()
        case Verdict.NAK:
            return b"-NAK"
        case Verdict.TERMINATE:
            return b"+TERM"
