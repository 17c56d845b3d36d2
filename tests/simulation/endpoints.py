"""What stubs need of a channel, and servicers of a server, on the simulated network."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.rpc import Rpc


class Channel:
    """Stands in for a grpc.aio.Channel."""

    def __init__(self, network: Network, target: str) -> None:
        """Makes a channel of the process that is running."""
        process = Process.current()
        assert process is not None, "only processes call"
        self._network = network
        self._process = process
        self._target = target
        self._rpcs: dict[Rpc, None] = {}

    async def close(self) -> None:
        """Cancels the calls under way."""
        for rpc in list(self._rpcs):
            rpc.cancel()

    def unary_unary(self, path: str, **conversions: Any) -> Any:
        """Makes a method that takes a message and returns one."""

        async def call(request: Any, *, timeout: float | None = None, metadata: Any = ()) -> Any:
            rpc = self._begin(path, timeout, metadata, conversions)
            try:
                rpc.send(request)
                return await rpc.read()
            finally:
                rpc.cancel()

        return call

    def unary_stream(self, path: str, **conversions: Any) -> Any:
        """Makes a method that takes a message and returns a stream of them."""

        def call(request: Any, *, timeout: float | None = None, metadata: Any = ()) -> Rpc:
            rpc = self._begin(path, timeout, metadata, conversions)
            rpc.send(request)
            return rpc

        return call

    def stream_stream(self, path: str, **conversions: Any) -> Any:
        """Makes a method that opens streams both ways."""

        def call(*, timeout: float | None = None, metadata: Any = ()) -> Rpc:
            return self._begin(path, timeout, metadata, conversions)

        return call

    def _begin(self, path: str, timeout: float | None, metadata: Any, conversions: Any) -> "Rpc":
        rpc = Rpc(self._network, self._process, self._target, path, timeout, metadata, conversions)
        self._rpcs[rpc] = None
        rpc.when_over(lambda: self._rpcs.pop(rpc, None))
        return rpc


class Server:
    """Stands in for a grpc.aio.Server."""

    def __init__(self, network: Network) -> None:
        """Makes a server of the process that is running."""
        process = Process.current()
        assert process is not None, "only processes serve"
        self.process = process
        self._network = network
        self._methods: dict[str, Any] = {}
        self._address = ""
        self._stopping = False
        self._tasks: dict[asyncio.Task[Any], None] = {}

    @property
    def listening(self) -> bool:
        """Whether it takes calls."""
        return self.process.alive and not self._stopping

    def handler(self, path: str) -> Any:
        """The method that a path names, if it is offered."""
        if self._address in self._network.without_exchange and path.endswith("/Exchange"):
            return None
        return self._methods.get(path)

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        """Starts a task that answers a call."""
        task = self.process.spawn(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    # The part of grpc.aio.Server that is used

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Takes methods in a form that is of no use here."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Takes methods by their names."""
        for name, handler in method_handlers.items():
            self._methods[f"/{service_name}/{name}"] = handler

    def add_insecure_port(self, address: str) -> int:
        """Listens at an address, once it is started."""
        self._address = address
        return int(address.rpartition(":")[2])

    async def start(self) -> None:
        """Takes calls from now on."""
        self._network.listen(self._address, self)

    async def stop(self, grace: float | None) -> None:
        """Takes no more calls; those under way get their time."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace or 0.0)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
