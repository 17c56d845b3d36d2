"""The two ways to call a participant: by unary RPCs, and by calls on one stream of an Exchange."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import grpc

from amends.v1 import participant_pb2 as pb
from amends_coordinator.conformance.answers import Answer, Request, from_error, from_reply, from_response
from amends_coordinator.conformance.results import NonconformingError

CALL_TIMEOUT: Final = 10.0
"""Seconds that a participant has for one answer: the default of a step's timeout."""

REFUSAL_TIMEOUT: Final = 2.0
"""Seconds in which a participant without Exchange ends a stream on which nothing is written."""


class Way(Protocol):
    """A way to call a participant."""

    name: str
    """As results call it."""

    async def send(self, requests: Sequence[Request]) -> list[Answer]:
        """Makes calls, all at once, and returns their answers in the order of the requests.

        Raises:
            NonconformingError: calls got no answer of their own.
        """


class Unary:
    """Calls by unary RPCs."""

    name = "unary"

    def __init__(self, stub: Any) -> None:
        """Makes a way over a participant's stub."""
        self._stub = stub

    async def send(self, requests: Sequence[Request]) -> list[Answer]:
        """Makes each call an RPC of its own."""
        return await asyncio.gather(*map(self._send, requests))

    async def _send(self, request: Request) -> Answer:
        call = name_of(request)
        method = self._stub.Try if call == "Try" else self._stub.Compensate
        try:
            return from_response(call, await method(request, timeout=CALL_TIMEOUT))
        except grpc.aio.AioRpcError as error:
            return from_error(call, error)


class Exchange:
    """Calls on a stream; all that are made at once go in one message."""

    name = "exchange"

    def __init__(self, stub: Any) -> None:
        """Makes a way over a participant's stub; the stream is opened by the first call."""
        self._stub = stub
        self._stream: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._number = 0
        self._waiting: dict[int, asyncio.Future[pb.ExchangeResponse.Reply]] = {}
        self._ended: grpc.StatusCode | None = None
        self.stray: list[int] = []
        """The numbers of replies to calls that were never made, or had their reply before."""

    @property
    def ended(self) -> grpc.StatusCode | None:
        """The status that the last stream ended with; None while it has not."""
        return self._ended

    async def send(self, requests: Sequence[Request]) -> list[Answer]:
        """Sends one message with all the calls."""
        stream = self._open()
        loop = asyncio.get_running_loop()
        message = pb.ExchangeRequest()
        replies = []
        for request in requests:
            self._number += 1
            call = message.calls.add(number=self._number)
            call.timeout.FromMilliseconds(int(CALL_TIMEOUT * 1000))
            if isinstance(request, pb.TryRequest):
                call.try_request.CopyFrom(request)
            else:
                call.compensate_request.CopyFrom(request)
            reply = self._waiting[self._number] = loop.create_future()
            replies.append(reply)
        # A stream takes one message at a time; how it ended, the reader tells.
        async with self._writing:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await stream.write(message)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                arrived = await asyncio.gather(*replies)
        except TimeoutError:
            missing = sum(1 for reply in replies if reply.cancelled())
            raise NonconformingError(
                f"{missing} of {len(replies)} calls in a message had no reply within {CALL_TIMEOUT:g} s"
            ) from None
        return [from_reply(name_of(request), reply) for request, reply in zip(requests, arrived, strict=True)]

    async def refusal(self) -> grpc.StatusCode:
        """Asks for the status of another stream, on which nothing is written.

        A refusal that meets a message on its way may come as a reset, in which its status is lost. Returns
        DEADLINE_EXCEEDED if the stream stays open.
        """
        stream = self._stub.Exchange(timeout=REFUSAL_TIMEOUT)
        code: grpc.StatusCode = await stream.code()
        return code

    async def close(self) -> None:
        """Leaves the stream."""
        if self._reader is not None:
            self._stream.cancel()
            await self._reader
            self._reader = None

    def _open(self) -> Any:
        if self._reader is None or self._reader.done():
            self._ended = None
            self._stream = self._stub.Exchange()
            self._reader = asyncio.create_task(self._read(self._stream))
        return self._stream

    async def _read(self, stream: Any) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            async for message in stream:
                for reply in message.replies:
                    self._arrive(reply)
        self._ended = await stream.code()
        waiting, self._waiting = self._waiting, {}
        for reply in waiting.values():
            if not reply.done():
                reply.set_exception(
                    NonconformingError(f"the stream ended with {self._ended.name} and left calls unanswered")
                )

    def _arrive(self, reply: pb.ExchangeResponse.Reply) -> None:
        waiting = self._waiting.pop(reply.number, None)
        if waiting is None or waiting.done():
            self.stray.append(reply.number)
        else:
            waiting.set_result(reply)


def name_of(request: Request) -> str:
    """Names the RPC that a request belongs to."""
    return "Try" if isinstance(request, pb.TryRequest) else "Compensate"
