"""The buses of the demo: each can be made to take nothing for a while, and tells what it waits for.

Killing a service between its commit and what comes after it takes a moment that is milliseconds long. The
demo holds that moment open from outside: while the bus takes nothing, a service can commit, but neither
publish nor acknowledge. Nothing in the services knows of it.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

import nats
from nats.js.api import ConsumerInfo

from sample_services.demo.broker import broker

STREAM: Final = "AMENDS"
"""Where services keep their events on NATS, unless the URL names another stream."""

_UNACKNOWLEDGED: Final = """
SELECT name, (SELECT count(*) FROM deliveries WHERE consumer = consumers.number) + (
    SELECT count(*) FROM messages JOIN subjects USING (subject)
    WHERE consumer = consumers.number AND sequence > position
)
FROM consumers
"""


class DemoBus(Protocol):
    """What scenes do with a bus."""

    @property
    def url(self) -> str:
        """Where services find it."""

    @property
    def introduction(self) -> str:
        """Says what it is, for the audience."""

    async def start(self) -> None:
        """Begins to take events."""

    async def halt(self) -> str:
        """Takes nothing from now on, and forgets nothing; returns what was done for that."""

    async def resume(self) -> str:
        """Goes on; returns what was done for that."""

    async def unacknowledged(self) -> Mapping[str, int]:
        """Counts by service the events that it is to have and has not acknowledged, given to it or not."""

    async def stop(self) -> None:
        """Ends. Harmless if it does not run."""


class SqliteDemoBus:
    """A file. Whoever holds its write lock keeps all others from writing to it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bus.db"
        self.url = f"sqlite:///{self._path}"
        self.introduction = "a file, bus.db"
        self._lock: sqlite3.Connection | None = None

    async def start(self) -> None:
        """See DemoBus. The first service makes the file."""

    async def halt(self) -> str:
        """See DemoBus."""
        self._lock = sqlite3.connect(self._path, isolation_level=None)
        self._lock.execute("BEGIN IMMEDIATE")
        return "the demo holds the write lock of bus.db: nobody can publish or acknowledge"

    async def resume(self) -> str:
        """See DemoBus."""
        await self.stop()
        return "the write lock of bus.db is free again"

    async def unacknowledged(self) -> Mapping[str, int]:
        """See DemoBus."""
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as db:
            return dict(db.execute(_UNACKNOWLEDGED).fetchall())

    async def stop(self) -> None:
        """See DemoBus."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class NatsDemoBus:
    """A server of its own, which is killed and started again where its store lies."""

    def __init__(self, folder: Path, address: str) -> None:
        self._server = broker(folder, address)
        self.url = f"nats://{address}"

    @property
    def introduction(self) -> str:
        """See DemoBus."""
        return f"nats-server, process {self._server.pid}"

    async def start(self) -> None:
        """See DemoBus."""
        await self._server.start()

    async def halt(self) -> str:
        """See DemoBus."""
        pid = self._server.pid
        await self._server.kill()
        return f"kill -9 {pid} (nats-server): nobody can publish or acknowledge"

    async def resume(self) -> str:
        """See DemoBus."""
        await self._server.start()
        return f"nats-server is back, as process {self._server.pid}"

    async def unacknowledged(self) -> Mapping[str, int]:
        """See DemoBus."""
        client = await nats.connect(self.url)
        try:
            consumers: list[ConsumerInfo] = []
            while page := await client.jetstream().consumers_info(STREAM, offset=len(consumers)):
                consumers += page
        finally:
            await client.close()
        counts: Counter[str] = Counter()
        for consumer in consumers:
            # A service has one for each partition of the stream, called after it, with a number behind.
            service = consumer.name.rpartition("-")[0]
            counts[service] += (consumer.num_ack_pending or 0) + (consumer.num_pending or 0)
        return counts

    async def stop(self) -> None:
        """See DemoBus."""
        await self._server.stop()


def bus_called(name: str, folder: Path, address: str) -> DemoBus:
    """Makes the bus of a name, "sqlite" or "nats", to be started; the address is where a server listens."""
    return NatsDemoBus(folder, address) if name == "nats" else SqliteDemoBus(folder)
