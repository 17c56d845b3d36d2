"""RPCs without a network: what a stub needs of a channel, answered by a servicer of the same process.

The client's stub and the coordinator's servicer are the real ones, and every message travels as bytes, so
that neither can tell the difference. Deadlines of RPCs are not kept: they are there for a peer that vanishes
without a word, and this one cannot.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Final, NoReturn, cast

import grpc

from amends.v1 import coordinator_pb2_grpc
from amends_coordinator.testing._time import JumpingTime

_END: Final = object()

Handlers = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]
"""The methods of a servicer, by their names, as generated code describes them."""


class LocalChannel:
    """Stands in for a grpc.aio.Channel. While no servicer is connected, calls fail as UNAVAILABLE."""

    def __init__(self, time: JumpingTime) -> None:
        """Makes a channel; whoever waits for a response lets the time jump."""
        self._time = time
        self._handlers: Handlers = {}
        self._calls: set[_Call] = set()

    def connect(self, servicer: coordinator_pb2_grpc.CoordinatorServicer) -> None:
        """Has calls answered by a servicer from now on."""
        registrar = _Registrar()
        coordinator_pb2_grpc.add_CoordinatorServicer_to_server(servicer, cast(Any, registrar))
        self._handlers = registrar.handlers

    def disconnect(self, why: str) -> None:
        """Breaks the calls under way, as a peer does that dies."""
        self._handlers = {}
        self.fail(_unavailable(why))

    def fail(self, error: BaseException) -> None:
        """Has the calls under way raise an error."""
        for call in list(self._calls):
            call.fail(error)

    async def close(self) -> None:
        """Ends the calls under way."""
        self.disconnect("the client is closed")

    # The part of grpc.aio.Channel that generated stubs use

    def unary_unary(self, path: str, **conversions: Any) -> Any:
        """Makes a method that takes a message and returns one."""

        async def call(request: Any, *, timeout: object = None, metadata: Any = ()) -> Any:
            begun = self._begin(path, metadata, conversions)
            try:
                await begun.write(request)
                return await begun.read()
            finally:
                begun.cancel()

        return call

    def unary_stream(self, path: str, **conversions: Any) -> Any:
        """Makes a method that takes a message and returns a stream of them."""

        def call(request: Any, *, timeout: object = None, metadata: Any = ()) -> _Call:
            begun = self._begin(path, metadata, conversions)
            begun.post(request)
            return begun

        return call

    def stream_stream(self, path: str, **conversions: Any) -> Any:
        """Makes a method that opens streams both ways."""

        def call(*, timeout: object = None, metadata: Any = ()) -> _Call:
            return self._begin(path, metadata, conversions)

        return call

    def _begin(self, path: str, metadata: Any, conversions: Mapping[str, Any]) -> "_Call":
        handler = self._handlers.get(path.rpartition("/")[2])
        call = _Call(handler, metadata, conversions, self._time)
        self._calls.add(call)
        call.when_over(partial(self._calls.discard, call))
        return call


class _Call:
    """One RPC: a task runs the servicer's method, and what it answers waits here to be read."""

    def __init__(
        self,
        handler: "grpc.RpcMethodHandler[Any, Any] | None",
        metadata: Any,
        conversions: Mapping[str, Any],
        time: JumpingTime,
    ) -> None:
        self._time = time
        self._serialize = conversions["request_serializer"]
        self._deserialize = conversions["response_deserializer"]
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()
        self._responses: asyncio.Queue[object] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._serve(handler, _Context(metadata)))

    def when_over(self, callback: Callable[[], object]) -> None:
        """Calls back when the servicer is done with it."""
        self._task.add_done_callback(lambda _: callback())

    # The client's side: the part of grpc.aio's calls that the client uses

    def post(self, request: Any) -> None:
        """Sends a message, without waiting."""
        self._requests.put_nowait(self._serialize(request))

    async def write(self, request: Any) -> None:
        """Sends a message."""
        if self._task.done():
            raise asyncio.InvalidStateError("the RPC is over")
        self.post(request)

    async def read(self) -> Any:
        """Returns the next message, or grpc.aio.EOF. Raises the error that the RPC ended with."""
        with self._time.somebody_waits():
            found = await self._responses.get()
        if isinstance(found, bytes):
            return self._deserialize(found)
        self._responses.put_nowait(found)  # whoever reads on meets it again
        if isinstance(found, BaseException):
            raise found
        return grpc.aio.EOF

    def cancel(self) -> None:
        """Ends the RPC, if it is not over."""
        self._task.cancel()

    def fail(self, error: BaseException) -> None:
        """Ends the RPC with an error."""
        self._responses.put_nowait(error)
        self._task.cancel()

    # The servicer's side

    async def _serve(self, handler: "grpc.RpcMethodHandler[Any, Any] | None", context: "_Context") -> None:
        try:
            if handler is None:
                raise _unavailable("the coordinator is not running")
            await self._answer(handler, context)
        except Exception as error:  # the client raises it, be it a status or a mistake in the servicer
            self._responses.put_nowait(error)
        else:
            self._responses.put_nowait(_END)

    async def _answer(self, handler: Any, context: "_Context") -> None:
        if handler.request_streaming:
            responses = handler.stream_stream(self._incoming(handler), context)
        else:
            request = handler.request_deserializer(await self._requests.get())
            if not handler.response_streaming:
                response = await handler.unary_unary(request, context)
                self._responses.put_nowait(handler.response_serializer(response))
                return
            responses = handler.unary_stream(request, context)
        async for response in responses:
            self._responses.put_nowait(handler.response_serializer(response))

    async def _incoming(self, handler: Any) -> AsyncIterator[Any]:
        while True:
            yield handler.request_deserializer(await self._requests.get())


class _Context:
    """The part of grpc.aio.ServicerContext that the servicer uses."""

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> Any:
        return self._metadata

    def time_remaining(self) -> None:
        """Tells that the client waits for ever."""

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        raise grpc.aio.AioRpcError(
            status.code,
            grpc.aio.Metadata(),
            grpc.aio.Metadata(*cast(Any, status.trailing_metadata or ())),
            details=status.details,
        )


class _Registrar:
    """The part of a server that generated code uses to add a servicer: keeps its methods."""

    def __init__(self) -> None:
        self.handlers: Handlers = {}

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Takes the methods in their other form, which is not needed."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Handlers) -> None:
        """Takes the methods by their names."""
        self.handlers = method_handlers


def _unavailable(why: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details=why
    )
