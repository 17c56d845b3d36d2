"""Starting sagas by the thousand: one stream, many starts per message.

Whatever gathers while one message is written goes into the next; nobody waits for a batch to fill. There is
no task per saga: a start is an entry with a future. When the stream breaks, what has no answer yet is sent
again on the next one, which is safe, since every start carries an id.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from amends._client import _errors, _requests
from amends._client._line import Line
from amends._client._outage import Outage
from amends._client._saga import TurnBack
from amends._client._states import SagaState, saga_state
from amends._client._stream import read
from amends._client._trace import trace_metadata, traceparent
from amends._definition import Definition
from amends.errors import CallError, TransientError, Unavailable
from amends.v1 import coordinator_pb2

if TYPE_CHECKING:
    Stream = grpc.aio.StreamStreamCall[coordinator_pb2.StartSagasRequest, coordinator_pb2.StartSagasResponse]

InputT = TypeVar("InputT")

MAX_IN_FLIGHT = 1_024
"""Starts without an answer: beyond that a coordinator on one disk gets no faster, only slower to answer."""

MAX_BATCH_BYTES = 1024 * 1024
"""Bytes of a message, unless a single start has more: a fourth of what gRPC takes by default."""

MAX_BATCH = 512
"""Starts of a message: what a coordinator can commit at once without keeping the others waiting."""


@dataclass(frozen=True, slots=True)
class Started:
    """What became of a start."""

    saga_id: str
    """Identifies the saga."""
    state: SagaState
    """Where the saga was when the coordinator answered."""
    turn_back: TurnBack | None
    """Why it turned back; None if it has not."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One start on its way."""

    start: coordinator_pb2.StartSagasRequest.Start
    size: int  # bytes
    future: asyncio.Future[Started]
    outage: Outage
    timer: asyncio.TimerHandle | None = None  # set while it waits to be sent again

    def stop_timer(self) -> None:
        """Sends it no more by itself."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Starter:
    """Starts sagas at a high rate.

    ::

        async with client.starter() as starter:
            started = await asyncio.gather(*(starter.start("order", order) for order in orders))

    Leaving the block waits for the answers that are still to come; leaving it with an exception does not.
    """

    def __init__(self, line: Line, max_in_flight: int) -> None:
        self._line = line
        self._room = asyncio.Semaphore(max_in_flight)
        self._last_number = 0
        self._unanswered: dict[int, _Entry] = {}  # by number, in the order of their starts
        self._outbox: deque[_Entry] = deque()
        self._work = asyncio.Event()  # set while the outbox may hold something
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="amends-starter")
        self._task.add_done_callback(self._fail_unanswered)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        assert task is not None, "a starter is left only after it was entered"
        try:
            if error is None and self._unanswered:
                await asyncio.wait([entry.future for entry in self._unanswered.values()])
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def start(
        self,
        definition: Definition[InputT] | str,
        input: InputT | None = None,  # noqa: A002 # what it is called in the contract
        *,
        saga_id: str | None = None,
        step_inputs: Mapping[str, object] | None = None,
        labels: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> Started:
        """Starts a saga and returns when the coordinator has it on disk, or, on request, when it has settled.

        Takes the arguments of :meth:`Client.start`, and ``wait``: the seconds to wait for the end of the saga
        or for it to be parked. Running out of them is no error; ``state`` tells how far it came.

        Raises what :meth:`Client.start` raises.
        """
        request = _requests.start(definition, input, saga_id=saga_id, step_inputs=step_inputs, labels=labels)
        request.traceparent = traceparent()
        if wait > 0:
            request.wait.FromNanoseconds(round(wait * 1e9))
        await self._room.acquire()
        entry = self._enter(request)
        return await entry.future

    def _enter(self, request: coordinator_pb2.StartSagaRequest) -> _Entry:
        if self._task is None or self._task.done():
            self._room.release()
            raise RuntimeError("a starter starts sagas only inside its `async with` block")
        start = coordinator_pb2.StartSagasRequest.Start(request=request)
        future = asyncio.get_running_loop().create_future()
        entry = _Entry(start, start.ByteSize(), future, self._line.outage())
        self._number(entry)
        self._post(entry)
        return entry

    def _number(self, entry: _Entry) -> None:
        self._last_number += 1
        entry.start.number = self._last_number
        self._unanswered[self._last_number] = entry

    def _post(self, entry: _Entry) -> None:
        self._outbox.append(entry)
        self._work.set()

    # The stream

    async def _run(self) -> None:
        """Keeps a stream open for as long as there is something to start."""
        while True:
            await self._work.wait()
            outage = self._line.outage()
            while self._unanswered:
                self._repost()
                failure = await self._converse(outage)
                try:
                    if self._unanswered:
                        await outage.endure(failure)
                except CallError as error:
                    self._fail_all(error)
            self._work.clear()

    def _repost(self) -> None:
        """Has everything without an answer sent on the stream that is opened next."""
        self._outbox = deque(self._unanswered.values())
        for entry in self._outbox:
            entry.stop_timer()
        self._work.set()

    async def _converse(self, outage: Outage) -> CallError:
        """Sends and receives on one stream until it breaks; returns why."""
        call = self._line.stub.StartSagas(metadata=trace_metadata())
        writer = asyncio.create_task(self._write(call), name="amends-starter-writer")
        try:
            while (response := await read(call)) is not None:
                outage.over()
                for result in response.results:
                    self._answer(result)
            return Unavailable("the coordinator ended the stream of starts")
        except grpc.aio.AioRpcError as error:
            return _errors.from_call(error, self._line.target)
        finally:
            writer.cancel()
            call.cancel()
            await asyncio.wait([writer])

    async def _write(self, call: "Stream") -> None:
        # A stream that has ended refuses to be written to; the reader learns why.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await self._work.wait()
                while self._outbox:
                    await call.write(self._next_message())
                self._work.clear()

    def _next_message(self) -> coordinator_pb2.StartSagasRequest:
        starts: list[coordinator_pb2.StartSagasRequest.Start] = []
        size = 0
        while self._outbox and len(starts) < MAX_BATCH:
            size += self._outbox[0].size
            if starts and size > MAX_BATCH_BYTES:
                break
            starts.append(self._outbox.popleft().start)
        return coordinator_pb2.StartSagasRequest(starts=starts)

    # Answers

    def _answer(self, result: coordinator_pb2.StartSagasResponse.Result) -> None:
        entry = self._unanswered.get(result.number)
        if entry is None:  # answered on an earlier stream
            return
        if not result.HasField("error"):
            turn_back = TurnBack(result.turn_back) if result.HasField("turn_back") else None
            self._take(entry)
            if not entry.future.done():
                entry.future.set_result(Started(result.saga_id, saga_state(result.state), turn_back))
            return
        try:
            wait = entry.outage.next_wait(_errors.from_status(result.error))
        except CallError as error:
            self._fail(entry, error)
        else:
            entry.timer = asyncio.get_running_loop().call_later(wait, self._post_again, entry)

    def _post_again(self, entry: _Entry) -> None:
        entry.timer = None
        # A number is good for one answer on its stream, and this one had it.
        del self._unanswered[entry.start.number]
        self._number(entry)
        self._post(entry)

    def _take(self, entry: _Entry) -> None:
        entry.stop_timer()
        del self._unanswered[entry.start.number]
        self._room.release()

    def _fail(self, entry: _Entry, error: BaseException) -> None:
        self._take(entry)
        if isinstance(error, TransientError):
            error = _errors.of_start(error, entry.start.request.saga_id)
        if not entry.future.done():
            entry.future.set_exception(error)

    def _fail_all(self, error: BaseException) -> None:
        for entry in list(self._unanswered.values()):
            self._fail(entry, error)

    def _fail_unanswered(self, task: asyncio.Task[None]) -> None:
        """Lets nobody wait for a starter that is gone."""
        error = None if task.cancelled() else task.exception()
        for entry in list(self._unanswered.values()):
            if error is None:
                entry.future.cancel()
            self._fail(entry, error or asyncio.CancelledError())
