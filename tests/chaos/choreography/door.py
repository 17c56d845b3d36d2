"""The door of the service where sagas begin: a line of JSON for each wish, and a line for each answer."""

import asyncio
import json
from typing import Any, Final, Self

from amends.choreography import EventService, Pending, Rejected
from amends.errors import Fault
from tests.chaos.choreography.conduct import MisfortuneError
from tests.chaos.choreography.errands import Errand
from tests.chaos.choreography.events import Order
from tests.chaos.choreography.services import Entries

PATIENCE: Final = 5.0
"""Seconds that a customer waits for an answer: its service may be stopped."""

# What a customer is told.

BEGUN: Final = "begun"
"""It begins now, or had begun by the same wish."""
REJECTED: Final = "rejected"
"""The entry said no."""
LATE: Final = "late"
"""It had begun, and is compensated."""
EXISTS: Final = "exists"
"""It has other content."""
FAILED: Final = "failed"
"""Nothing has happened, this time."""


class Door:
    """Begins sagas for whoever knocks.

    Args:
        service: open by the time that anybody knocks.
        entries: what it can begin.
    """

    def __init__(self, service: EventService, entries: Entries) -> None:
        self._service = service
        self._entries = entries
        self._server: asyncio.Server | None = None
        self._is_closed = False

    async def open(self, address: str) -> None:
        """Lets customers in."""
        host, _, port = address.rpartition(":")
        self._server = await asyncio.start_server(self._serve, host, int(port))

    async def close(self) -> None:
        """Lets nobody in any more; who is inside is told that it failed."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                told = await self._begin(json.loads(line))
                writer.write(json.dumps(told).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # the customer was killed
        finally:
            writer.close()

    async def _begin(self, wish: dict[str, Any]) -> str:
        if self._is_closed:
            return FAILED
        order = Order(wish["content"], wish["wishes"])
        try:
            await self._service.begin(self._entries[wish["shape"]], order, saga_id=wish["saga"])
        except Rejected as rejected:
            return LATE if rejected.reason == "ALREADY_COMPENSATED" else REJECTED
        except Fault as fault:
            return EXISTS if fault.reason == "KEY_REUSED" else FAILED
        except (MisfortuneError, Pending):
            return FAILED
        return BEGUN


class Visit:
    """One customer's connection to a door, made anew whenever it breaks."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def begin(self, errand: Errand, content: int) -> str:
        """Asks for a saga. Raises OSError or TimeoutError where nobody answers."""
        wish = {"saga": errand.saga_id, "shape": errand.shape, "content": content, "wishes": errand.wishes}
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await self._connected()
                writer.write(json.dumps(wish).encode() + b"\n")
                line = await reader.readline()
        except (OSError, TimeoutError):
            self.close()
            raise
        if not line:
            self.close()
            raise ConnectionResetError("the door was closed")
        told: str = json.loads(line)
        return told

    def close(self) -> None:
        """Goes away."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            host, _, port = self._address.rpartition(":")
            self._streams = await asyncio.open_connection(host, int(port))
        return self._streams
