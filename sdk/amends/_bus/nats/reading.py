"""Reads the whole stream in order, beside what services consume."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final

from nats.aio.msg import Msg

from amends._bus.interface import BusUnavailableError, Message
from amends._bus.nats.address import Address
from amends._bus.nats.connection import Connection, Line
from amends._bus.nats.messages import read_message
from amends._bus.nats.session import ApiError, Inbox, delivery_of, is_delivery, status_of

_NANOSECONDS: Final = 1_000_000_000
_PAGE: Final = 256
_EXPIRES_S: Final = 30.0
_HEARTBEAT_S: Final = 10.0
_SILENCE_S: Final = 2.5 * _HEARTBEAT_S
_INACTIVE_S: Final = 60.0
"""After which the server drops the consumer of a reader that went away without a word."""

_RETRY_S: Final = 0.5
_HEARTBEAT: Final = "100"
_LAST_WORDS: Final = ("404", "408")
"""No more messages, or none in time."""


async def read(
    connection: Connection, address: Address, after: int, *, follow: bool
) -> AsyncIterator[Sequence[tuple[int, Message]]]:
    """Reads everything that is kept; see Bus.read."""
    while True:
        line = await connection.until_there() if follow else connection.line()
        reader = _Reader(line, address, after, follow=follow)
        try:
            await reader.open()
            while page := await reader.page():
                after = page[-1][0]
                yield page
            return
        except BusUnavailableError:
            if not follow:
                raise
        finally:
            await reader.close()
        await asyncio.sleep(_RETRY_S)


class _Reader:
    """A consumer of the server's that lasts no longer than a session."""

    def __init__(self, line: Line, address: Address, after: int, *, follow: bool) -> None:
        self._session = line.session
        self._stream = address.stream
        self._name = f"reader-{secrets.token_hex(16)}"
        self._after = after
        self._follow = follow
        self._inbox: Inbox | None = None
        self._left = 0
        """Messages that the request may still be answered with."""
        self._is_over = False
        self._received: list[tuple[int, Message]] = []
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Makes the consumer. Raises BusUnavailableError."""
        config: dict[str, Any] = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._after + 1,
            "ack_policy": "none",
            "inactive_threshold": int(_INACTIVE_S * _NANOSECONDS),
            "num_replicas": 1,
            "mem_storage": True,
        }
        self._inbox = await self._session.open_inbox(self._receive)
        self._session.when_lost(self._wake.set)
        await self._api("CREATE", {"stream_name": self._stream, "config": config})

    async def page(self) -> list[tuple[int, Message]]:
        """Waits for what comes next. Empty at the end of what there is, which a follower never sees.

        Raises:
            BusUnavailableError: the session was lost, or the consumer.
        """
        while not self._received:
            if self._left <= 0:
                if self._is_over and not self._follow:
                    return []
                await self._ask()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await self._wake.wait()
            except TimeoutError:
                raise BusUnavailableError("the server has fallen silent") from None
            self._wake.clear()
            if self._session.is_lost:
                raise BusUnavailableError("the connection was lost")
        page, self._received = self._received, []
        return page

    async def close(self) -> None:
        """Drops the consumer, as far as the server can be told."""
        if self._inbox:
            await self._inbox.close()
        if not self._session.is_lost:
            with suppress(BusUnavailableError):
                await self._api("DELETE")

    async def _ask(self) -> None:
        assert self._inbox, "the reader is open"
        self._left = _PAGE
        request: dict[str, Any] = {"batch": _PAGE, "no_wait": True}
        if self._follow:
            request = {
                "batch": _PAGE,
                "expires": int(_EXPIRES_S * _NANOSECONDS),
                "idle_heartbeat": int(_HEARTBEAT_S * _NANOSECONDS),
            }
        await self._session.send(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}",
            json.dumps(request).encode(),
            reply=f"{self._inbox.subject}.1",
        )

    async def _receive(self, message: Msg) -> None:
        if is_delivery(message):
            sequence, _ = delivery_of(message.reply)
            self._received.append((sequence, read_message(message, sequence)))
            self._left -= 1
        elif (status := status_of(message)) != _HEARTBEAT:
            self._left = 0
            self._is_over = status in _LAST_WORDS
        self._wake.set()

    async def _api(self, call: str, request: dict[str, Any] | None = None) -> None:
        try:
            await self._session.api(f"CONSUMER.{call}.{self._stream}.{self._name}", request)
        except ApiError as error:
            raise BusUnavailableError(f"the stream {self._stream} cannot be read: {error}") from error
