"""Bodies are read and written beside the event loop, which has sagas to drive meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from google.protobuf.message import Message

from amends_coordinator.http_api import bodies

SMALL: Final = 4 << 10
"""Bytes that are dealt with at once: some milliseconds at worst, and usually less than a thread costs."""

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Converter:
    """Reads and writes bodies; large ones one after another, in a thread of its own.

    One, because a second would make neither faster: both would hold the interpreter, and the loop would get
    less of it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="amends-http")

    async def read(self, body: bytes, kind: type[M]) -> M:
        """Reads a message of this kind. Raises InvalidRequestError."""
        return await self._run(len(body), lambda: bodies.read(body, kind))

    async def write(self, message: Message) -> bytes:
        """Writes a message."""
        return await self._run(message.ByteSize(), lambda: bodies.write(message))

    def close(self) -> None:
        """Forgets what still waits; nobody does any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, size: int, work: Callable[[], T]) -> T:
        if size <= SMALL:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
