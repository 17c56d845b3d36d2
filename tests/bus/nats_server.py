"""A real NATS server for a test, to be killed, stopped, and started again in its place, with its store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amends._bus.nats.address import read_address
from amends._bus.nats.connecting import connect
from amends._bus.nats.session import Session
from sample_services.demo.broker import broker, nats_server
from sample_services.demo.processes import ProcessError
from tests.addresses import free_address


class NatsServer:
    """One server in a folder. Skips the test if there is no such program here."""

    def __init__(self, folder: Path, *, settings: str = "") -> None:
        try:
            nats_server()
        except ProcessError as error:
            pytest.skip(str(error))
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.address = free_address()
        self.process = broker(folder, self.address, settings=settings)

    def url(self, stream: str = "") -> str:
        """Where a bus finds it."""
        return f"nats://{self.address}/{stream}".rstrip("/")

    def consumer_files(self, name: str) -> Path:
        """Where the server keeps what it knows of a consumer."""
        (found,) = self._folder.rglob(f"obs/{name}")
        return found

    async def start(self) -> None:
        await self.process.start()

    async def kill(self) -> None:
        await self.process.kill()

    async def stop(self) -> None:
        await self.process.stop()

    async def start_with(self, settings: str) -> None:
        """Starts it with other settings, at the same place with the same store."""
        self.process = broker(self._folder, self.address, settings=settings)
        await self.process.start()

    @asynccontextmanager
    async def session(self, access: str = "") -> AsyncIterator[Session]:
        """A connection, to look at or to change what a bus has made."""
        session = await connect(read_address(f"nats://{access}{self.address}"))
        try:
            yield session
        finally:
            await session.close()

    async def api(self, call: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Calls JetStream's API once."""
        async with self.session() as session:
            return await session.api(call, request)


@asynccontextmanager
async def running(folder: Path, *, settings: str = "") -> AsyncIterator[NatsServer]:
    """Starts a server, and stops it in the end unless the test has."""
    server = NatsServer(folder, settings=settings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
