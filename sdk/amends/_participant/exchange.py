"""One stream of an Exchange: batches of calls in, batches of replies out.

Reading and writing do not wait for each other. Whatever is answered while a message is being written goes
into the next one, so messages grow with the load and nobody waits for a batch to fill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from amends._participant import tracing
from amends._participant.call import Request, Response
from amends._participant.engine import Engine, Incoming
from amends._transactions import faults
from amends.errors import Fault
from amends.v1 import participant_pb2 as pb

MESSAGE_BYTES_MAX: Final = 3 << 20
"""When a message takes no further reply: the largest one more still leaves it under gRPC's usual 4 MiB."""

UNSENT_REPLIES_MAX: Final = 10_000
"""The replies that may wait for a caller that does not read them, before its calls are not read either."""

Reply = pb.ExchangeResponse.Reply


class ExchangeStream:
    """The state of one stream."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._outbox: deque[Reply] = deque()
        self._unanswered = 0
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def serve(self, requests: AsyncIterable[pb.ExchangeRequest]) -> AsyncIterator[pb.ExchangeResponse]:
        """Yields replies until every call that was read is answered and no more will be."""
        self._reader = asyncio.create_task(self._read(requests), name="amends exchange reader")
        self._reader.add_done_callback(lambda _: self._ready.set())
        try:
            while await self._wait_for_replies():
                yield self._next_message()
        finally:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader

    async def answer(self, message: pb.ExchangeRequest) -> pb.ExchangeResponse:
        """Answers the calls of one message, all in one."""
        self._engine.submit(self._arrivals(message))
        while self._unanswered:
            self._ready.clear()
            await self._ready.wait()
        return pb.ExchangeResponse(replies=self._outbox)

    def stop_reading(self) -> None:
        """Takes no more calls; the stream ends when those that were read are answered."""
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self, requests: AsyncIterable[pb.ExchangeRequest]) -> None:
        async for message in requests:
            self._engine.submit(self._arrivals(message))
            while len(self._outbox) > UNSENT_REPLIES_MAX:
                self._drained.clear()
                await self._drained.wait()

    def _arrivals(self, message: pb.ExchangeRequest) -> list[Incoming]:
        traced = tracing.configured()
        arrivals = []
        for call in message.calls:
            self._unanswered += 1
            on_answer = partial(self._answer, call.number)
            kind = call.WhichOneof("request")
            if kind is None:
                on_answer(faults.invalid("request", "is not set"))
                continue
            request = call.try_request if kind == "try_request" else call.compensate_request
            timeout = _seconds(call) if call.HasField("timeout") else None
            if traced:
                arrivals.append(_traced(request, timeout, on_answer, call.traceparent))
            else:
                arrivals.append(Incoming(request, timeout, on_answer, None))
        return arrivals

    def _answer(self, number: int, answer: Response | Fault) -> None:
        self._unanswered -= 1
        if isinstance(answer, pb.TryResponse):
            reply = Reply(number=number, try_response=answer)
        elif isinstance(answer, pb.CompensateResponse):
            reply = Reply(number=number, compensate_response=answer)
        else:
            reply = Reply(number=number, error=faults.to_status(answer))
        self._outbox.append(reply)
        self._ready.set()

    async def _wait_for_replies(self) -> bool:
        """Waits until there are replies; False once there will be none any more."""
        while not self._outbox:
            if self._unanswered == 0 and self._reader is not None and self._reader.done():
                return False
            self._ready.clear()
            await self._ready.wait()
        return True

    def _next_message(self) -> pb.ExchangeResponse:
        replies = []
        size = 0
        while self._outbox and size < MESSAGE_BYTES_MAX:
            reply = self._outbox.popleft()
            size += reply.ByteSize()
            replies.append(reply)
        self._drained.set()
        return pb.ExchangeResponse(replies=replies)


def _seconds(call: pb.ExchangeRequest.Call) -> float:
    return call.timeout.seconds + call.timeout.nanos / 1e9


def _traced(
    request: Request,
    timeout: float | None,
    on_answer: Callable[[Response | Fault], None],
    traceparent: str,
) -> Incoming:
    context, end_span = tracing.start_span(request, traceparent)

    def answer(result: Response | Fault) -> None:
        end_span(result)
        on_answer(result)

    return Incoming(request, timeout, answer, context)
