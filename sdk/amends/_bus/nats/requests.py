"""The requests for messages that one session has at the server.

Every partition's consumer has one, which it answers with a message whenever the one before is settled. A
request ends when it was answered often enough, or after a while; the next one then takes its place. One that
ends otherwise, such as because its consumer was deleted, has the consumers looked after first; one that has
not been heard of for too long is taken for lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from nats.aio.msg import Msg

from amends._bus.nats.connection import Line
from amends._bus.nats.consumer import ACK_WAIT_S, Consumers
from amends._bus.nats.session import Inbox, Receive, is_delivery, status_of

_NANOSECONDS: Final = 1_000_000_000

_BATCH: Final = 1000
"""Messages that one request asks for: making it anew is then a thousandth of the work."""

_EXPIRES_S: Final = 120.0
_HEARTBEAT_S: Final = 15.0
"""How often the server says that a request is still there, while there is nothing to deliver."""

_SILENCE_S: Final = 2.5 * _HEARTBEAT_S
_CHECK_S: Final = ACK_WAIT_S / 4
"""How often all requests are looked through: often enough to keep what has come, even if it is late once."""

_RETRY_S: Final = 0.5
"""Before consumers are looked after, so that one that cannot be mended costs little."""

_REQUEST: Final = json.dumps(
    {
        "batch": _BATCH,
        "expires": int(_EXPIRES_S * _NANOSECONDS),
        "idle_heartbeat": int(_HEARTBEAT_S * _NANOSECONDS),
    }
).encode()

_HEARTBEAT: Final = "100"
_EXPIRED: Final = "408"


@dataclass(slots=True)
class _Request:
    """What is known of the request of one partition."""

    number: int = 0
    """Tells it from those before it, whose last words may come late."""
    left: int = 0
    """Messages that it may still be answered with."""
    heard: float = 0.0
    """When something came of it last, on the clock of the loop."""


class Requests:
    """Asks for messages of all partitions, for as long as a session lasts.

    Args:
        line: the session, and the stream.
        consumers: those of the service.
        take: is given each message.
    """

    def __init__(self, line: Line, consumers: Consumers, take: Receive) -> None:
        self._line = line
        self._consumers = consumers
        self._take = take
        self._requests = [_Request() for _ in range(line.stream.partitions)]
        self._due = set(range(line.stream.partitions))
        self._inbox: Inbox | None = None
        self._broken = False
        self._wake = asyncio.Event()

    async def serve(self, each_time: Callable[[], Awaitable[None]]) -> None:
        """Keeps asking, until the session is lost.

        Args:
            each_time: is called every few seconds.

        Raises:
            BusError, BusUnavailableError: as those of `Consumers.ensure`.
        """
        await self._consumers.ensure(self._line)
        session = self._line.session
        self._inbox = await session.open_inbox(self._receive)
        session.when_lost(self._wake.set)
        while not session.is_lost:
            await self._ask_anew()
            try:
                async with asyncio.timeout(_CHECK_S):
                    await self._wake.wait()
            except TimeoutError:
                self._find_silent()
                await each_time()
            self._wake.clear()

    def look_after_consumers(self) -> None:
        """Has `Consumers.ensure` called soon."""
        self._broken = True
        self._wake.set()

    async def end(self) -> None:
        """Withdraws the requests; what was sent for them until then has been taken when this returns."""
        if self._inbox:
            await self._inbox.close()

    async def _receive(self, message: Msg) -> None:
        # A message has the subject under which it was published; words about a request have its own.
        if is_delivery(message):
            partition = int(message.subject.split(".", 2)[1])
            request = self._requests[partition]
            request.left -= 1
            await self._take(message)
            if request.left <= 0:
                self._call_for(partition)
        else:
            partition, number = map(int, message.subject.split(".")[-2:])
            request = self._requests[partition]
            if number != request.number:
                return
            status = status_of(message)
            if status != _HEARTBEAT:
                self._broken |= status != _EXPIRED
                self._call_for(partition)
        request.heard = asyncio.get_running_loop().time()

    def _call_for(self, partition: int) -> None:
        self._due.add(partition)
        self._wake.set()

    def _find_silent(self) -> None:
        now = asyncio.get_running_loop().time()
        silent = [index for index, request in enumerate(self._requests) if now - request.heard > _SILENCE_S]
        self._broken |= bool(silent)
        self._due.update(silent)

    async def _ask_anew(self) -> None:
        if self._broken:
            await asyncio.sleep(_RETRY_S)
            self._broken = False
            await self._consumers.ensure(self._line)
        assert self._inbox, "serve has opened it"
        due, self._due = self._due, set()
        for partition in due:
            request = self._requests[partition]
            request.number += 1
            request.left = _BATCH
            request.heard = asyncio.get_running_loop().time()
            await self._line.session.send(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._consumers.stream}.{self._consumers.name(partition)}",
                _REQUEST,
                reply=f"{self._inbox.subject}.{partition}.{request.number}",
            )
