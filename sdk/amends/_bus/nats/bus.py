"""The bus on NATS JetStream, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

from amends._bus.interface import BusUnavailableError, Message, Receipt, Subscription
from amends._bus.nats.address import read_address
from amends._bus.nats.connection import Connection
from amends._bus.nats.consuming import NatsSubscription
from amends._bus.nats.messages import ROOM_BYTES
from amends._bus.nats.publishing import max_bytes_of, publish
from amends._bus.nats.reading import read
from amends._bus.nats.registry import Registry
from amends._bus.nats.stream import RETENTION_S

_PAYLOAD_BYTES: Final = 1024 * 1024
"""What a server takes that was not told otherwise."""


class NatsBus:
    """A bus on NATS JetStream.

    Args:
        url: where it is, as nats://[USER:PASSWORD@]HOST[:PORT][/STREAM].

    Raises:
        UsageError: the URL is malformed.
    """

    def __init__(self, url: str) -> None:
        self._address = read_address(url)
        self._connection = Connection(self._address)
        self._registry = Registry(self._connection, self._address)
        self._subscriptions: list[NatsSubscription] = []
        self._payload_bytes = _PAYLOAD_BYTES

    def __repr__(self) -> str:
        return f"<NatsBus {self._address}>"

    @property
    def url(self) -> str:
        """See Bus."""
        return str(self._address)

    @property
    def max_bytes(self) -> int:
        """See Bus. What the server said when it was reached last, and before that the usual."""
        with suppress(BusUnavailableError):
            self._payload_bytes = max_bytes_of(self._connection.line())
        return self._payload_bytes - ROOM_BYTES

    @property
    def retention(self) -> float:
        """See Bus."""
        return RETENTION_S

    async def open(self) -> None:
        """See Bus."""
        await self._connection.open()

    async def publish(self, messages: Sequence[Message]) -> list[Receipt | Exception]:
        """See Bus."""
        return await publish(self._connection, self._address, messages)

    async def subscribe(self, consumer: str, subjects: Collection[str]) -> Subscription:
        """See Bus. While the server is away the consumer is named once it is back."""
        subscription = NatsSubscription(self._connection, self._address, consumer, subjects)
        await subscription.start()
        self._subscriptions.append(subscription)
        return subscription

    def read(self, after: int, *, follow: bool) -> AsyncIterator[Sequence[tuple[int, Message]]]:
        """See Bus."""
        return read(self._connection, self._address, after, follow=follow)

    async def claim(self, service: str, owner: str, seconds: float) -> None:
        """See Bus."""
        await self._registry.claim(service, owner, seconds)

    async def announce(self, service: str, description: bytes) -> None:
        """See Bus."""
        await self._registry.announce(service, description)

    async def announced(self) -> Mapping[str, bytes]:
        """See Bus."""
        return await self._registry.announced()

    async def close(self) -> None:
        """See Bus."""
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions.clear()
        await self._connection.close()
