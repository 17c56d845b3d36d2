"""A TCP proxy that can be told to maltreat what goes through it.

It knows nothing of HTTP/2 or gRPC: it sees connections, and bytes that go one way or the other. What it does
to them, real networks do too, and none of it breaks what TCP promises to either end of one connection.
"""

import asyncio
from contextlib import suppress
from typing import Final

CHUNK: Final = 64 * 1024
"""Bytes passed on at a time: more than most batches of calls, so that a delay delays messages whole."""


LINGER: Final = 0.2
"""Seconds between what is delivered late and the end of its connection. A gRPC server that sees both at once
drops the calls that it has not handed on."""


class _Gate:
    """Where the bytes of one direction wait while it is shut."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.delay = 0.0
        self.after = 0.0  # seconds for which the sink is left open when the source has no more

    def shut(self) -> None:
        """Lets nothing pass."""
        self._open.clear()

    def open(self) -> None:
        """Lets everything pass."""
        self._open.set()

    async def until_passed(self) -> None:
        """Waits for as long as a chunk has to."""
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._open.wait()


class _Connection:
    """One connection of a caller, and the one to the server behind it."""

    def __init__(self, caller: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.caller = caller
        self.server = server
        self.requests = _Gate()  # from the caller to the server
        self.replies = _Gate()

    @property
    def gates(self) -> tuple[_Gate, _Gate]:
        """Both directions."""
        return self.requests, self.replies

    def cut(self) -> None:
        """Breaks it for both ends; what is on its way is lost."""
        self.caller.transport.abort()
        self.server.transport.abort()
        for gate in self.gates:
            gate.open()  # so that whoever waits there finds out


class Link:
    """The way from callers to one server, through a port of its own.

    Args:
        listen: the address that callers are given.
        target: where the server listens.
    """

    def __init__(self, listen: str, target: str) -> None:
        self.listen = listen
        self.cuts = 0  # connections that were broken
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begins to take connections."""
        host, _, port = self.listen.rpartition(":")
        self._server = await asyncio.start_server(self._accept, host, int(port), limit=CHUNK)

    async def close(self) -> None:
        """Breaks every connection, and takes no more."""
        assert self._server is not None, "a link is closed after it was opened"
        self._server.close()
        for connection in self._connections:
            connection.cut()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    # What can be done to the connections that exist

    def cut(self) -> None:
        """Breaks them."""
        for connection in self._connections:
            connection.cut()
            self.cuts += 1

    async def stall(self, seconds: float) -> None:
        """Lets nothing through, in either direction, and then goes on as if nothing had been."""
        gates = [gate for connection in self._connections for gate in connection.gates]
        for gate in gates:
            gate.shut()
        await asyncio.sleep(seconds)
        for gate in gates:
            gate.open()

    async def swallow(self, seconds: float) -> None:
        """Lets requests through and no replies, then breaks the connections: the replies are lost."""
        connections = list(self._connections)
        for connection in connections:
            connection.replies.shut()
        await asyncio.sleep(seconds)
        self._break(connections)

    async def deliver_late(self, seconds: float) -> None:
        """Breaks them for the caller, and gives the server what was on its way to it when the time is over:
        long after the caller has sent it again."""
        connections = list(self._connections)
        for connection in connections:
            connection.requests.shut()
        await asyncio.sleep(seconds / 2)
        for connection in connections:
            connection.requests.after = LINGER
            connection.caller.transport.abort()
            self.cuts += connection in self._connections
        await asyncio.sleep(seconds / 2)
        for connection in connections:
            connection.requests.open()

    async def slow_down(self, seconds: float, delay: float) -> None:
        """Delays every piece of what passes."""
        gates = [gate for connection in self._connections for gate in connection.gates]
        for gate in gates:
            gate.delay = delay
        await asyncio.sleep(seconds)
        for gate in gates:
            gate.delay = 0.0

    def _break(self, connections: list[_Connection]) -> None:
        for connection in connections:
            if connection in self._connections:
                connection.cut()
                self.cuts += 1

    # The connections

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _serve(self, caller: asyncio.StreamReader, to_caller: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        try:
            server, to_server = await asyncio.open_connection(host, int(port), limit=CHUNK)
        except OSError:  # the server is dead just now, and so the caller finds nobody
            return
        connection = _Connection(to_caller, to_server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(caller, to_server, connection.requests))
                pumps.create_task(_pump(server, to_caller, connection.replies))
        finally:
            self._connections.discard(connection)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: _Gate) -> None:
    """Passes bytes on until their source has no more, or their sink takes none; then tells the sink."""
    with suppress(OSError):
        while chunk := await source.read(CHUNK):
            await gate.until_passed()
            sink.write(chunk)
            await sink.drain()
        await asyncio.sleep(gate.after)
    sink.close()
