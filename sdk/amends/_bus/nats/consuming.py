"""One process's part in what a service receives: takes messages, hands them out, says what became of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from nats.aio.msg import Msg

from amends._bus.interface import BusError, BusUnavailableError, Delivery, Settlement, Verdict
from amends._bus.nats.address import Address
from amends._bus.nats.connection import Connection
from amends._bus.nats.consumer import Consumers
from amends._bus.nats.messages import read_message
from amends._bus.nats.requests import Requests
from amends._bus.nats.session import delivery_of

_log = logging.getLogger("amends.bus")

_NANOSECONDS: Final = 1_000_000_000

_RETRY_S: Final = 1.0
"""Before consumers are looked after again that could not be had."""

_OFFER_PAUSE_S: Final = 1.0
_OFFERS_MAX: Final = 30
"""How often a message is offered that this version of the service does not want, before no other is thought
to run: the server offers it to all processes in turn, and half a minute is enough for one to start again."""


class NatsSubscription:
    """Takes part in what a service receives.

    Args:
        connection: the way to the server.
        address: names the stream.
        service: the name that the service's processes share.
        subjects: what this one wants.

    Raises:
        BusError: the name is too long.
        MessageRefusedError: a subject has an empty part.
    """

    def __init__(
        self, connection: Connection, address: Address, service: str, subjects: Collection[str]
    ) -> None:
        self._connection = connection
        self._service = service
        self._subjects = frozenset(subjects)
        self._consumers = Consumers(address, service, subjects)
        self._requests: Requests | None = None
        self._gathered: dict[int, Delivery] = {}
        self._handed_out: dict[int, Delivery] = {}
        self._arrived = asyncio.Event()
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to take messages, at once if the server can be reached.

        Raises:
            BusError: the consumers cannot be had as they have to be.
        """
        if not self._subjects:
            self._consumers.are_there.set()
            return  # a consumer that filters nothing would be sent everything
        # Those that can be made now are there when this returns: what is published from then on is received.
        with suppress(BusUnavailableError):
            await self._consumers.ensure(self._connection.line())
        self._task = asyncio.create_task(self._keep_taking())

    async def until_named(self) -> None:
        """See Subscription."""
        await self._consumers.are_there.wait()

    async def fetch(self, limit: int) -> Sequence[Delivery]:
        """See Subscription."""
        await self._arrived.wait()
        if self._is_closed:
            raise RuntimeError("the subscription is closed")
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
        self._is_closed = True
        self._arrived.set()

    async def _tell(self, delivery: Delivery, word: bytes) -> None:
        # What the server is not told comes again; and the way to it need not be the one the message came by.
        with suppress(BusUnavailableError):
            await self._connection.line().session.send(delivery.handle, word)

    async def _keep_taking(self) -> None:
        while True:
            line = await self._connection.until_there()
            requests = self._requests = Requests(line, self._consumers, self._take)
            try:
                await requests.serve(self._keep_gathered)
            except BusError as error:
                _log.error("%s", error)
            except BusUnavailableError as error:
                _log.warning("nothing is received until it can be: %s", error)
            finally:
                await requests.end()
            await asyncio.sleep(_RETRY_S)

    async def _take(self, message: Msg) -> None:
        sequence, number = delivery_of(message.reply)
        delivery = Delivery(
            message=read_message(message, sequence), sequence=sequence, number=number, handle=message.reply
        )
        if delivery.message.subject in self._subjects:
            # One that comes again, because it was not kept in time, takes the place of the earlier delivery.
            self._gathered[sequence] = delivery
            self._arrived.set()
        else:
            await self._pass_on(delivery)

    async def _pass_on(self, delivery: Delivery) -> None:
        """Leaves a message to another version of the service, or has it sent no more if there is none."""
        if delivery.number < _OFFERS_MAX:
            await self._tell(delivery, _nak(_OFFER_PAUSE_S))
            return
        _log.warning(
            "no process of %r wants %s any more: it is not sent to the service from now on",
            self._service,
            delivery.message.subject,
        )
        await self._tell(delivery, b"+ACK")
        self._consumers.forgo_others()
        if self._requests:
            self._requests.look_after_consumers()

    async def _keep_gathered(self) -> None:
        """Keeps what has come and nobody has asked for yet."""
        await self.keep(list(self._gathered.values()))


def _word_for(settlement: Settlement) -> bytes:
    match settlement.verdict:
        case Verdict.ACK:
            return b"+ACK"
        case Verdict.NAK:
            return _nak(settlement.delay)
        case Verdict.TERMINATE:
            return b"+TERM"


def _nak(delay: float) -> bytes:
    return b"-NAK " + json.dumps({"delay": int(delay * _NANOSECONDS)}).encode() if delay > 0 else b"-NAK"
