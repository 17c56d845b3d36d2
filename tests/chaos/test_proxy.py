"""The proxy does to connections what it is told, and only that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sample_services.demo.stage import free_addresses
from tests.chaos.proxy import Link


class Listener:
    """A server that keeps what it hears, and answers with the same."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await reader.read(1024):
            self.heard.put_nowait(words)
            writer.write(words)
        writer.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, Listener, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A listener, a link to it, and a connection through the link on which something has been said."""
    listen, target = free_addresses(2)
    listener = Listener()
    server = await asyncio.start_server(listener.serve, *target.rsplit(":", 1))
    link = Link(listen, target)
    await link.open()
    reader, writer = await asyncio.open_connection(*listen.rsplit(":", 1))
    try:
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert await listener.heard.get() == b"hello"
        yield link, listener, reader, writer
    finally:
        writer.close()
        await link.close()
        server.close()
        await server.wait_closed()


async def test_a_cut_is_the_end_of_a_connection() -> None:
    """Its caller finds that it is over, and it is counted."""
    async with linked() as (link, _, reader, _):
        link.cut()
        assert await reader.read() == b""
        assert link.cuts == 1


async def test_a_stall_holds_everything_back_and_loses_nothing() -> None:
    """What was said meanwhile arrives when it is over."""
    async with linked() as (link, listener, reader, writer):
        stall = asyncio.create_task(link.stall(0.05))
        await asyncio.sleep(0)  # it has begun
        writer.write(b"are you there?")
        await stall
        assert await listener.heard.get() == b"are you there?"
        assert await reader.readexactly(14) == b"are you there?"


async def test_replies_that_are_swallowed_never_come() -> None:
    """The request was heard, and its caller sees the connection end instead of the reply."""
    async with linked() as (link, listener, reader, writer):
        swallow = asyncio.create_task(link.swallow(0.05))
        await asyncio.sleep(0)
        writer.write(b"pay")
        assert await listener.heard.get() == b"pay"
        assert await reader.read() == b""
        await swallow


async def test_what_is_delivered_late_arrives_after_its_caller_was_cut_off() -> None:
    """The caller has given up, and the server hears it all the same."""
    async with linked() as (link, listener, reader, writer):
        late = asyncio.create_task(link.deliver_late(0.1))
        await asyncio.sleep(0)
        writer.write(b"pay")
        assert await reader.read() == b""
        assert listener.heard.empty()
        assert await listener.heard.get() == b"pay"
        await late


async def test_who_calls_a_dead_server_is_cut_off() -> None:
    """As it would be without a proxy, or nearly."""
    listen, target = free_addresses(2)
    link = Link(listen, target)
    await link.open()
    reader, writer = await asyncio.open_connection(*listen.rsplit(":", 1))
    assert await reader.read() == b""
    writer.close()
    await link.close()
