"""A call of gRPC over the simulated network: its two ends, and what befalls what lies between them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, NoReturn

import grpc

from tests.simulation.interface import SERVICE
from tests.simulation.network import Network
from tests.simulation.process import Process

_GARBLED: Final = object()
"""In place of a message: bytes that are none. grpc.aio hands them over as None to whoever wants a message."""

_MADE_UP = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
"""What a proxy answers by itself, without asking whom the call is for."""

_MADE_UP_REJECTION = grpc.StatusCode.PERMISSION_DENIED
_REJECTIONS = 0.5
"""What it answers where that may be a rejection, and how often."""

_SOON, _LATE = 0.01, 100.0
"""Seconds after which a duplicate arrives, at the soonest and at the latest."""

_NEXT = 1e-9
"""Seconds between two messages of one direction at the least, so that they arrive in order."""


class Rpc:
    """One call: a pipe each way, and how it ended as far as the client has heard."""

    def __init__(
        self,
        network: Network,
        client: Process,
        target: str,
        path: str,
        timeout: float | None,
        metadata: Any,
        conversions: Any,
    ) -> None:
        self.network = network
        self.client = client
        self.server: Process | None = None  # once the call has arrived
        self.target = target
        self.server_node = target.partition(":")[0]
        self.path = path
        self.metadata = metadata
        self.notes: dict[Any, Any] = {}  # the observer's
        # Without them, bytes go as they are.
        self._serialize = conversions.get("request_serializer") or _as_it_is
        self._deserialize = conversions.get("response_deserializer")
        self._loop = asyncio.get_running_loop()
        self._until = None if timeout is None else self._loop.time() + timeout
        self._requests: deque[bytes] = deque()
        self._responses: deque[Any] = deque()
        self._news = asyncio.Event()  # for the client
        self._requested = asyncio.Event()  # for the server
        self._closed: list[Any] = []
        self._error: BaseException | None = None
        self._done = False
        self._sends_more = True
        self._broken = False
        self._task: asyncio.Task[Any] | None = None
        self._last_up = self._last_down = 0.0  # when the last message arrives, each way
        network.join(self)
        if timeout is not None:
            expire = self._failing(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            network.after(timeout, expire)
        self._up(self._arrive)

    def when_over(self, callback: Any) -> None:
        """Calls back once the client has heard how the call ended."""
        self._closed.append(callback)

    # The client's side: the part of grpc.aio's calls that is used

    def send(self, request: Any) -> None:
        """Sends a message, without waiting."""
        if self._done:
            raise asyncio.InvalidStateError("the RPC is over")
        if self._broken or not self.client.alive:
            return
        network, data = self.network, self._serialize(request)
        network.observer.call_leaves(self, data)
        if network.chance(network.weather.lose_request):
            network.injected("a request was lost")
            self.break_off("the connection broke")
        elif network.chance(network.weather.made_up_status):
            network.injected("a proxy answered in place of a server")
            code = network.random.choice(_MADE_UP)
            if network.weather.made_up_rejections and network.chance(_REJECTIONS):
                code = _MADE_UP_REJECTION
            self._up(self._failing(code, "upstream connect error"))
        else:
            self._up(lambda: self._deliver(data))
        if network.chance(network.weather.duplicate):
            self._send_again(data)

    async def write(self, request: Any) -> None:
        """Sends a message of a stream."""
        self.send(request)
        await asyncio.sleep(0)

    def __aiter__(self) -> "Rpc":
        return self

    async def __anext__(self) -> Any:
        response = await self.read()
        if response is grpc.aio.EOF:
            raise StopAsyncIteration
        return response

    async def read(self) -> Any:
        """Returns the next message, or grpc.aio.EOF. Raises the error that the call ended with."""
        while not self._responses:
            if self._error is not None:
                raise self._error
            if self._done:
                return grpc.aio.EOF
            self._news.clear()
            await self._news.wait()
        found = self._responses.popleft()
        if self._deserialize is None:
            return found
        return None if found is _GARBLED else self._deserialize(found)

    def cancel(self) -> None:
        """Ends the call."""
        self._end(asyncio.CancelledError())

    def done(self) -> bool:
        """Whether the client has heard how the call ended."""
        return self._done

    async def code(self) -> grpc.StatusCode:
        """Waits for the status."""
        while not self._done:
            self._news.clear()
            await self._news.wait()
        if isinstance(self._error, grpc.aio.AioRpcError):
            return self._error.code()
        return grpc.StatusCode.OK if self._error is None else grpc.StatusCode.CANCELLED

    async def details(self) -> str:
        """The words of the status."""
        return (self._error.details() or "") if isinstance(self._error, grpc.aio.AioRpcError) else ""

    # On the way

    def _up(self, arrive: Any) -> None:
        """Has something arrive at the server, after what was sent before."""
        moment = self._loop.time() + self.network.transit(self.client.node, self.server_node)
        self._last_up = max(self._last_up + _NEXT, moment)
        self.network.after(self._last_up - self._loop.time(), arrive)

    def _down(self, arrive: Any) -> None:
        """Has something arrive at the client, after what was sent before."""
        moment = self._loop.time() + self.network.transit(self.server_node, self.client.node)
        self._last_down = max(self._last_down + _NEXT, moment)
        self.network.after(self._last_down - self._loop.time(), arrive)

    def _failing(self, code: grpc.StatusCode, why: str, trailing: Any = ()) -> Any:
        metadata = grpc.aio.Metadata(*trailing)
        return lambda: self._end(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details=why))

    def _arrive(self) -> None:
        if self._done:
            return
        server = self.network.server_at(self.target)
        if server is None or self.network.refuses(self.client.node, self.server_node):
            self._down(self._failing(grpc.StatusCode.UNAVAILABLE, f"{self.target}: connection refused"))
            return
        handler = server.handler(self.path)
        if handler is None:
            self._down(self._failing(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"))
            return
        self.server = server.process
        self._task = server.spawn(self._serve(handler))

    def _deliver(self, data: bytes) -> None:
        self._requests.append(data)
        self._requested.set()

    def _send_again(self, data: bytes) -> None:
        """Has a message arrive once more, later, by a connection of its own. Nobody hears the answer."""
        network = self.network
        seconds = _SOON * (_LATE / _SOON) ** network.random.random()
        network.injected(f"a request to {self.server_node} is delivered again, {seconds:.2f} s later")
        network.on_their_way += 1
        network.after(seconds, lambda: self._arrive_again(data))

    def _arrive_again(self, data: bytes) -> None:
        self.network.on_their_way -= 1
        conversions = {"request_serializer": None, "response_deserializer": None}
        again = Rpc(
            self.network, self.network.nobody, self.target, self.path, None, self.metadata, conversions
        )
        again._requests.append(data)
        again._sends_more = False

    def break_off(self, why: str) -> None:
        """Breaks the connection: what is sent from now on is lost. Each end learns of it in its time."""
        if self._broken:
            return
        self._broken = True
        self._down(self._failing(grpc.StatusCode.UNAVAILABLE, why))
        self._up(self._stop_serving)

    def client_is_gone(self) -> None:
        """The client has died."""
        self._end(asyncio.CancelledError())

    def server_is_gone(self) -> None:
        """The server has died."""
        self._down(self._failing(grpc.StatusCode.UNAVAILABLE, "Socket closed"))

    def _end(self, error: BaseException | None) -> None:
        if self._done:
            return
        self._done, self._error = True, error
        self._news.set()
        for callback in self._closed:
            callback()
        if self._task is None or self._task.done():
            self.network.leave(self)
        else:
            self._up(self._stop_serving)

    def _stop_serving(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.network.leave(self)

    # The server's side

    async def _serve(self, handler: Any) -> None:
        try:
            await self._answer(handler)
        except _AbortedError as aborted:
            if not self._broken and self.server is not None and self.server.alive:
                self.network.observer.status_leaves(self, aborted.code)
            self._down(self._failing(aborted.code, aborted.details, aborted.trailing))
        except asyncio.CancelledError:
            self._down(self._failing(grpc.StatusCode.UNAVAILABLE, "the server is shutting down"))
            raise
        except Exception as error:
            self._down(self._failing(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}"))
            raise
        else:
            self._down(lambda: self._end(None))

    async def _answer(self, handler: Any) -> None:
        context = _Context(self)
        if handler.request_streaming:
            responses = handler.stream_stream(self._incoming(handler), context)
        else:
            request = (handler.request_deserializer or _as_it_is)(await self._next_request())
            if not handler.response_streaming:
                response = await handler.unary_unary(request, context)
                self._respond((handler.response_serializer or _as_it_is)(response))
                return
            responses = handler.unary_stream(request, context)
        async for response in responses:
            self._respond(handler.response_serializer(response))

    async def _incoming(self, handler: Any) -> AsyncIterator[Any]:
        while self._requests or (self._sends_more and not self._done):
            yield handler.request_deserializer(await self._next_request())

    async def _next_request(self) -> bytes:
        while not self._requests:
            self._requested.clear()
            await self._requested.wait()
        data = self._requests.popleft()
        self.network.observer.call_arrives(self, data)
        return data

    def _respond(self, data: bytes) -> None:
        network = self.network
        if self._broken or self.server is None or not self.server.alive:
            return
        network.observer.reply_leaves(self, data)
        if network.chance(network.weather.lose_reply):
            network.injected("a reply was lost")
            self.break_off("the connection broke")
        else:
            garbled = network.chance(self._garbling())
            if garbled:
                network.injected(f"a reply of {self.server_node} was garbled")
            self._down(lambda: self._hear(self._garble(data) if garbled else data))

    def _garbling(self) -> float:
        if self.path.startswith(_METHODS):
            return self.network.weather.garble_method
        return self.network.weather.garble if self.path.startswith(_PARTICIPANT) else 0.0

    def _garble(self, data: bytes) -> Any:
        # Without its last byte, no message is one.
        return _GARBLED if self._deserialize is not None else data[:-1] or b"\xff"

    def _hear(self, message: Any) -> None:
        if not self._done:
            self._responses.append(message)
            self._news.set()


_PARTICIPANT: Final = "/amends.v1.Participant/"
_METHODS: Final = f"/{SERVICE}/"


def _as_it_is(data: Any) -> Any:
    return data


class _AbortedError(Exception):
    """Ends a call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Any) -> None:
        super().__init__(details)
        self.code, self.details, self.trailing = code, details, trailing


class _Context:
    """The part of grpc.aio.ServicerContext that the servicers use."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def invocation_metadata(self) -> Any:
        return self._rpc.metadata

    def time_remaining(self) -> float | None:
        until = self._rpc._until
        return None if until is None else max(until - asyncio.get_running_loop().time(), 0.0)

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise _AbortedError(code, details, ())

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        raise _AbortedError(status.code, status.details, status.trailing_metadata or ())
