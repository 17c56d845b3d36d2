"""The client for synchronous code: the same client, on an event loop in a thread of its own.

Nothing but the waiting is written here. Each method is made from the method of the async client whose name it
bears, with its arguments, its types and its description.
"""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from amends._client._client import Client
from amends._client._line import ClientTls

P = ParamSpec("P")
R = TypeVar("R")

_END = object()


def _waiting(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["BlockingClient", P], R]:
    """Makes a method that waits for what the async client's method returns."""

    @functools.wraps(method)
    def call(self: "BlockingClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait_for(method(self._client, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Client, P], AsyncIterator[R]],
) -> Callable[Concatenate["BlockingClient", P], Iterator[R]]:
    """Makes a method that iterates over what the async client's method yields."""

    @functools.wraps(method)
    def call(self: "BlockingClient", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._iterate(method(self._client, *args, **kwargs))

    return call


class BlockingClient:
    """Starts sagas at a coordinator, and follows, cancels and repairs them, from synchronous code.

    ::

        with BlockingClient("127.0.0.1:50051") as client:
            saga = client.run("order", {"account": "ada", "amount": 12})

    Its methods are those of :class:`Client`, which wait instead of being awaited. Many threads may share it.
    """

    def __init__(self, target: str, *, tls: ClientTls | None = None, patience: float = 30.0) -> None:
        """Makes a client; the arguments are those of :class:`Client`."""
        self._client = Client(target, tls=tls, patience=patience)
        self._lock = threading.Lock()  # guards that nothing is begun on a loop that is being closed
        self._closed = False
        self._loop = asyncio.new_event_loop()
        # A daemon thread, so that a program which forgets to close its client can still end.
        self._thread = threading.Thread(target=self._loop.run_forever, name="amends-client", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"Blocking{self._client!r}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls under way in other threads are cancelled. Sagas go on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        ending.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self._client.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()

    start = _waiting(Client.start)
    run = _waiting(Client.run)
    get = _waiting(Client.get)
    wait = _waiting(Client.wait)
    watch = _iterating(Client.watch)
    history = _waiting(Client.history)
    list = _iterating(Client.list)
    cancel = _waiting(Client.cancel)
    retry = _waiting(Client.retry)
    resolve = _waiting(Client.resolve)
    register = _waiting(Client.register)
    definition = _waiting(Client.definition)
    definitions = _iterating(Client.definitions)

    def _wait_for(self, awaited: Coroutine[Any, Any, R]) -> R:
        with self._lock:
            if self._closed:
                awaited.close()
                raise RuntimeError("the client is closed")
            # The task is made in a copy of this thread's context, and so continues its trace.
            future = asyncio.run_coroutine_threadsafe(awaited, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # where it is this thread that was interrupted
            raise

    def _iterate(self, items: AsyncIterator[R]) -> Iterator[R]:
        async def following() -> Any:
            return await anext(items, _END)

        async def end() -> None:
            await items.aclose()  # type: ignore[attr-defined] # every one of them is a generator

        try:
            while (item := self._wait_for(following())) is not _END:
                yield item
        finally:
            if not self._closed:
                self._wait_for(end())
