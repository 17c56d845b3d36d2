"""Calls by one bidirectional stream: many calls per message, both ways.

One task opens the stream when there is something to send, writes, and ends with the stream; one more reads.
Whatever has gathered while a message was being written goes into the next one, so nobody waits on a timer
for a batch, and under load the batches grow by themselves.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import grpc
from google.rpc import status_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc as pb_grpc
from amends_coordinator.calls.attempt import MAX_REQUEST, Attempt, fill_compensate, fill_try
from amends_coordinator.calls.reading import MAX_WORDS, read_reply, status_of, too_large
from amends_coordinator.calls.spans import Spans
from amends_coordinator.contract.values import fill_duration
from amends_coordinator.core.outcomes import Outcome, Unknown
from amends_coordinator.core.values import Direction
from amends_coordinator.timers import Timers

log = logging.getLogger(__name__)

MAX_CALLS = 64
"""Calls of one message: beyond this, batching saves nothing more and only delays the first reply."""

MAX_BYTES = 1 << 20
"""Bytes after which a message is sent as it is; well below what any gRPC server takes by default (4 MiB)."""

WRITE_PATIENCE = 10.0
"""Seconds that a message may take to be accepted. A peer that stopped reading is given up after that."""

PROBE_TIMEOUT = 1.0
"""Seconds in which a participant without Exchange says so; to one that has it nothing is sent meanwhile."""

_STOPPED_READING = "the participant stopped reading"
_FAILED_TO_WRITE = "the coordinator failed to write to it; its log says how"
_GARBLED = "the participant sent bytes that are no ExchangeResponse"

Stream: TypeAlias = "grpc.aio.StreamStreamCall[pb.ExchangeRequest, pb.ExchangeResponse]"


class Exchange:
    """Sends attempts over a stream, opened when there is something to send and again when it broke."""

    def __init__(
        self,
        stub: "pb_grpc.ParticipantAsyncStub",
        timers: Timers,
        spans: Spans,
        *,
        address: str,
        take: Callable[[], Attempt | None],
        ended: Callable[[Attempt, Outcome], None],
        opened: Callable[[], None],
        unimplemented: Callable[[list[Attempt]], None],
    ) -> None:
        """Makes a sender.

        Args:
            stub: of the participant.
            timers: the clock of the time limits.
            spans: what to tell a participant of the trace.
            address: of the participant, for messages.
            take: gives the next attempt that may be sent now, if any.
            ended: is told what an attempt came to.
            opened: is told that a stream answered for the first time: the participant may be a new one.
            unimplemented: takes over the attempts of a participant that offers no Exchange.
        """
        self._stub = stub
        self._timers = timers
        self._spans = spans
        self._address = address
        self._take = take
        self._ended = ended
        self._opened = opened
        self._unimplemented = unimplemented
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._given_up = ""  # why we ended the present stream, if we did
        self._numbers = 0
        self._sent: dict[int, Attempt] = {}  # sent on the present stream and not answered yet
        self._carried: pb.ExchangeRequest | None = (
            None  # begun with a call that the last message had no room for
        )

    def wake(self) -> None:
        """Says that there may be something to send."""
        self._work.set()
        if self._task is None and not self._closing:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Abandons what is in flight."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def forget(self, attempt: Attempt) -> None:
        """Lets go of an attempt that ended by its time limit; a reply that comes later finds nobody."""
        self._sent.pop(attempt.stream_number, None)

    async def _run(self) -> None:
        """Lives as long as one stream does."""
        try:
            status, answered = await self._use_stream()
            if status.code == Code.INTERNAL and not answered:
                status = await self._ask_again() or status
        finally:
            # Whatever ended this stream, even a mistake of ours: the next one can be opened.
            self._task = None
        if not self._closing:  # a cancellation may also end a stream that is just being opened with an error
            self._end_all(status, answered)

    async def _use_stream(self) -> tuple[status_pb2.Status, bool]:
        """Writes and reads until the stream ends; tells its status, and whether it ever answered."""
        self._given_up = ""
        stream = self._stub.Exchange()
        writer = asyncio.create_task(self._write(stream))
        writer.add_done_callback(partial(self._writer_ended, stream))
        answered = False
        try:
            async for response in stream:
                if response is None:  # so grpc.aio hands over what it cannot decode
                    return status_pb2.Status(code=Code.DATA_LOSS, message=_GARBLED), answered
                if not answered:
                    answered = True
                    self._opened()
                self._read(response)
            message = "the participant ended the stream"
        except grpc.aio.AioRpcError as error:
            return status_of(error), answered
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            message = self._given_up
        finally:
            stream.cancel()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return status_pb2.Status(code=Code.UNAVAILABLE, message=message), answered

    async def _ask_again(self) -> status_pb2.Status | None:
        """Asks for the status of a stream on which nothing is written; None if it stays open.

        A participant that has no Exchange, or is not there, fails a stream at once. Where that meets a
        message on its way, grpc.aio reports the failed write as INTERNAL and forgets the status; under load
        it could do so every time.
        """
        stream = self._stub.Exchange(timeout=PROBE_TIMEOUT)
        try:
            code = await stream.code()
            if code in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED):
                return None
            return status_pb2.Status(code=code.value[0], message=await stream.details())
        finally:
            stream.cancel()

    def _read(self, response: pb.ExchangeResponse) -> None:
        for reply in response.replies:
            attempt = self._sent.pop(reply.number, None)
            if attempt is not None:
                rules = attempt.step.rules(attempt.direction)
                self._ended(attempt, read_reply(attempt.direction, reply, rules))

    async def _write(self, stream: Stream) -> None:
        while True:
            request = self._gather()
            if request is None:
                self._work.clear()
                await self._work.wait()
                continue
            patience = self._timers.at(
                self._timers.now() + WRITE_PATIENCE, partial(self._give_up, stream, _STOPPED_READING)
            )
            try:
                await stream.write(request)
            finally:
                patience.cancel()

    def _writer_ended(self, stream: Stream, writer: "asyncio.Task[None]") -> None:
        """Ends a stream on which nobody writes any more, unless the stream ended first."""
        if not writer.cancelled() and (error := writer.exception()) is not None and not stream.done():
            log.error("calls could not be written", exc_info=error, extra={"action": "exchange_failed"})
            self._give_up(stream, _FAILED_TO_WRITE)

    def _give_up(self, stream: Stream, why: str) -> None:
        """Ends a stream on which nothing moves; the reader learns of it as a cancellation."""
        self._given_up = why
        stream.cancel()

    def _gather(self) -> pb.ExchangeRequest | None:
        """Makes one message of what may be sent now; None if that is nothing."""
        request, self._carried = self._carried, None
        if (
            request is None or request.calls[0].number not in self._sent
        ):  # its time may have run out meanwhile
            request = pb.ExchangeRequest()
        size = request.ByteSize()
        while len(request.calls) < MAX_CALLS and size < MAX_BYTES:
            attempt = self._take()
            if attempt is None:
                break
            self._numbers += 1
            attempt.stream_number = self._numbers
            # Ours from here on: whatever goes wrong below, it ends with the stream.
            self._sent[attempt.stream_number] = attempt
            call = request.calls.add(number=attempt.stream_number)
            self._fill(call, attempt)
            bytes_of_call = call.ByteSize()
            if bytes_of_call > MAX_REQUEST:
                del request.calls[-1]
                self.forget(attempt)
                self._ended(attempt, too_large(attempt.direction, bytes_of_call))
                continue
            size += bytes_of_call
            if size > MAX_REQUEST and len(request.calls) > 1:
                self._carried = pb.ExchangeRequest(calls=[call])
                del request.calls[-1]
        return request if request.calls else None

    def _fill(self, call: pb.ExchangeRequest.Call, attempt: Attempt) -> None:
        if attempt.direction is Direction.FORWARD:
            fill_try(call.try_request, attempt)
        else:
            fill_compensate(call.compensate_request, attempt)
        fill_duration(call.timeout, attempt.step.timeout)
        call.traceparent = self._spans.traceparent(attempt)

    def _end_all(self, status: status_pb2.Status, answered: bool) -> None:
        """Ends what was in flight on a stream that is no more."""
        sent, self._sent, self._carried = list(self._sent.values()), {}, None
        if status.code == Code.UNIMPLEMENTED and not answered:
            self._unimplemented(sent)
            return
        # Whatever the status, it speaks of the stream; what became of its calls nobody knows.
        message = status.message
        if self._address not in message:
            message = f"the stream to {self._address} broke: {message}"
        outcome = Unknown(Code.UNAVAILABLE, message[:MAX_WORDS])
        for attempt in sent:
            self._ended(attempt, outcome)
        if self._work.is_set():
            self.wake()
