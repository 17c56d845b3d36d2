"""Keeps a session to the server, and makes a new one whenever it breaks, for ever."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import Final

from amends._bus.interface import BusError, BusUnavailableError
from amends._bus.nats.address import Address
from amends._bus.nats.connecting import connect
from amends._bus.nats.session import Session
from amends._bus.nats.stream import Stream, ensured_stream

_log = logging.getLogger("amends.bus")

_PAUSE_MIN_S: Final = 0.1
_PAUSE_MAX_S: Final = 5.0
"""How long a service waits at most once the server is back: even many that ask this often are no burden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What there is to work with while the server can be reached."""

    session: Session
    """The connection."""
    stream: Stream
    """The stream, checked when the connection was made."""


class Connection:
    """The way to the server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._line: asyncio.Future[Line] | None = None
        self._why_not: BusError | BusUnavailableError = BusUnavailableError(f"{address} was not opened")
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begins to connect; returns after the first attempt. Harmless if open.

        Raises:
            BusError: the server is there, and cannot be used.
        """
        if self._task:
            return
        self._line = asyncio.get_running_loop().create_future()
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(first))
        try:
            await first
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends the session, and makes no other."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._why_not = BusUnavailableError(f"{self._address} was closed")
        if self._line and not self._line.done():
            self._line.set_exception(self._why_not)
            self._line.exception()  # whether anybody waits or not
        self._line = None

    def line(self) -> Line:
        """The line to the server, as long as it holds.

        Raises:
            BusUnavailableError: there is none; the message says why.
        """
        if self._line and self._line.done() and not self._line.result().session.is_lost:
            return self._line.result()
        raise BusUnavailableError(str(self._why_not)) from self._why_not

    async def until_there(self) -> Line:
        """Waits for a line to the server. Raises BusUnavailableError if the bus is not open."""
        while True:
            if not self._line:
                raise BusUnavailableError(str(self._why_not))
            line = await asyncio.shield(self._line)
            if not line.session.is_lost:
                return line
            await asyncio.sleep(0)  # the keeper is about to notice

    async def _keep(self, first: asyncio.Future[None]) -> None:
        pause = _PAUSE_MIN_S
        while True:
            try:
                line = await self._made()
            except BusError as error:
                if not first.done():
                    first.set_exception(error)
                    return
                self._say(logging.ERROR, error)
            except BusUnavailableError as error:
                self._say(logging.WARNING, error)
            except Exception as error:
                if not first.done():
                    first.set_exception(error)
                    return
                _log.exception("%s cannot be used, for a reason that was not foreseen", self._address)
            else:
                pause = _PAUSE_MIN_S
                await self._hold(line, first)
            if not first.done():
                first.set_result(None)
            # Spread out, so that all services of a system do not come back in the same moment.
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
            pause = min(2 * pause, _PAUSE_MAX_S)

    async def _made(self) -> Line:
        session = await connect(self._address)
        try:
            return Line(session=session, stream=await ensured_stream(session, self._address))
        except BaseException:
            await session.close()
            raise

    async def _hold(self, line: Line, first: asyncio.Future[None]) -> None:
        """Offers a line to everybody until it is lost."""
        assert self._line, "open has made a place for it"
        if first.done():
            _log.info("%s can be reached", self._address)
        else:
            first.set_result(None)
        self._line.set_result(line)
        try:
            await line.session.until_lost()
            self._line = asyncio.get_running_loop().create_future()
        finally:
            await line.session.close()
        self._why_not = BusUnavailableError(f"the connection to {self._address} was lost")
        _log.warning("%s; events are kept, and go on once it is back", self._why_not)

    def _say(self, level: int, reason: BusError | BusUnavailableError) -> None:
        """Logs why there is no session, unless that was the reason before."""
        if str(reason) != str(self._why_not):
            _log.log(level, "%s; events are kept, and go on once that has changed", reason)
        self._why_not = reason
