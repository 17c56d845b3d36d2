"""The bus in a SQLite file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from amends._bus.interface import BusUnavailableError, Message, Receipt
from amends._bus.sqlite import opening, publishing, registry
from amends._bus.sqlite.bell import ring
from amends._bus.sqlite.lane import Lane
from amends._bus.sqlite.reading import read_page
from amends._bus.sqlite.subscription import SqliteSubscription

RETENTION_S: Final = 7 * 24 * 3600.0
"""How long messages are kept by default: a service that fails before a long weekend can be
mended after it."""

_FOLLOWING_S: Final = 0.05
"""How often to look for more while following the log: people watch it, nothing waits for it."""


class SqliteBus:
    """See Bus.

    Args:
        path: the file; made if it does not exist.
        retention: for how many seconds messages are kept and may be delivered.
    """

    def __init__(self, path: Path, *, retention: float = RETENTION_S) -> None:
        # Without links, so that two names of one file lead to the same bells.
        self._path = path.resolve()
        self._retention = retention
        self._lanes: tuple[Lane, Lane] | None = None
        self._subscriptions: list[SqliteSubscription] = []

    def __repr__(self) -> str:
        return f"<SqliteBus {self.url}>"

    @property
    def url(self) -> str:
        """See Bus.url."""
        return f"sqlite:///{self._path}"

    @property
    def max_bytes(self) -> int:
        """See Bus.max_bytes."""
        return publishing.BYTES_MAX

    @property
    def retention(self) -> float:
        """See Bus.retention."""
        return self._retention

    async def open(self) -> None:
        """See Bus.open."""
        if self._lanes is not None:
            return
        publisher = await Lane.open(self._path, opening.connect_to_publish)
        try:
            consumers = await Lane.open(self._path, opening.connect_to_consume)
        except BaseException:
            await publisher.close()
            raise
        self._lanes = (publisher, consumers)

    async def close(self) -> None:
        """See Bus.close."""
        lanes = self._lanes
        if lanes is None:
            return
        for subscription in self._subscriptions:
            await subscription.close()
        self._subscriptions, self._lanes = [], None
        publisher, consumers = lanes
        await consumers.close()
        await publisher.close()

    async def publish(self, messages: Sequence[Message]) -> list[Receipt | Exception]:
        """See Bus.publish."""
        batch, refusals = publishing.encode(messages)
        placed: Sequence[tuple[int, bool]] = ()
        if batch.ids:
            try:
                placed, bells = await self._publisher.run(
                    lambda connection: (
                        publishing.put(connection, batch, time.time()),
                        publishing.bells_of(connection, batch),
                    )
                )
            except BusUnavailableError as error:
                return [refusals.get(index, error) for index in range(len(messages))]
            ring(self._path.with_name(bell) for bell in bells)
        rest = iter(placed)
        return [
            refusals[index] if index in refusals else self._receipt(*next(rest))
            for index in range(len(messages))
        ]

    async def subscribe(self, consumer: str, subjects: Collection[str]) -> SqliteSubscription:
        """See Bus.subscribe."""
        subscription = SqliteSubscription(
            self._path, self._consumers, consumer, sorted(set(subjects)), self._retention
        )
        self._subscriptions.append(subscription)
        await subscription.join()
        return subscription

    async def read(self, after: int, *, follow: bool) -> AsyncIterator[Sequence[tuple[int, Message]]]:
        """See Bus.read."""
        while True:
            oldest = time.time() - self._retention
            page: list[tuple[int, Message]] = []
            try:
                page = await self._consumers.run(partial(read_page, after=after, oldest=oldest))
            except BusUnavailableError:
                if not follow:
                    raise
            if page:
                after = page[-1][0]
                yield page
            elif follow:
                await asyncio.sleep(_FOLLOWING_S)
            else:
                return

    async def claim(self, service: str, owner: str, seconds: float) -> None:
        """See Bus.claim."""
        now = time.time()
        await self._publisher.write(
            lambda connection: registry.claim(connection, service, owner, now, now + seconds)
        )

    async def announce(self, service: str, description: bytes) -> None:
        """See Bus.announce."""
        await self._publisher.write(lambda connection: registry.announce(connection, service, description))

    async def announced(self) -> Mapping[str, bytes]:
        """See Bus.announced."""
        return await self._consumers.run(registry.announced)

    @property
    def _publisher(self) -> Lane:
        return self._opened()[0]

    @property
    def _consumers(self) -> Lane:
        return self._opened()[1]

    def _opened(self) -> tuple[Lane, Lane]:
        if self._lanes is None:
            raise BusUnavailableError(f"the bus {self._path} is not open")
        return self._lanes

    def _receipt(self, sequence: int, duplicate: bool) -> Receipt:
        return Receipt(stream=str(self._path), sequence=sequence, duplicate=duplicate)
