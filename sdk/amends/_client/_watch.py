"""Following the events of a saga, across restarts of its coordinator."""

from collections.abc import AsyncGenerator

import grpc

from amends._client import _errors
from amends._client._event import ENDINGS, Event
from amends._client._line import Line
from amends._client._states import saga_state
from amends._client._stream import read
from amends._client._trace import trace_metadata
from amends.errors import CallError, DeadlineExceeded, Unavailable
from amends.v1 import coordinator_pb2

SEGMENT = 60.0
"""Seconds after which a stream is opened anew, to find out about a host that vanished without a word."""


async def history(line: Line, saga_id: str, after: int) -> tuple[Event, ...]:
    """Returns the events so far. Raises ``CallError``."""
    request = coordinator_pb2.WatchSagaRequest(saga_id=saga_id, after_sequence=after, history_only=True)
    events: list[Event] = []
    outage = line.outage()
    while True:
        try:
            call = line.stub.WatchSaga(request, timeout=SEGMENT, metadata=trace_metadata())
            while (proto := await read(call)) is not None:
                events.append(Event(proto))
                request.after_sequence = proto.sequence
            return tuple(events)
        except grpc.aio.AioRpcError as error:
            failure = _errors.from_call(error, line.target)
        await outage.endure(failure)


async def watch(line: Line, saga_id: str, after: int) -> AsyncGenerator[Event, None]:
    """Yields the events so far, then each as it becomes durable, until the saga ends.

    Raises ``CallError``.
    """
    request = coordinator_pb2.WatchSagaRequest(saga_id=saga_id, after_sequence=after)
    outage = line.outage()
    while True:
        failure: CallError | None = None
        call = line.stub.WatchSaga(request, timeout=SEGMENT, metadata=trace_metadata())
        try:
            while (proto := await read(call)) is not None:
                outage.over()
                request.after_sequence = proto.sequence
                event = Event(proto)
                yield event
                if event.kind in ENDINGS:
                    return
        except grpc.aio.AioRpcError as error:
            failure = _errors.from_call(error, line.target)
        finally:
            call.cancel()
        if failure is None or isinstance(failure, DeadlineExceeded):
            if await _is_told(line, request):
                return
            if failure is not None:  # the segment was over, and the coordinator is there
                outage.over()
                continue
            failure = Unavailable(f"the coordinator stopped telling about saga {saga_id}")
        await outage.endure(failure)


async def _is_told(line: Line, request: coordinator_pb2.WatchSagaRequest) -> bool:
    """Says whether the saga has ended and all its events are told."""
    saga = await line.call(line.stub.GetSaga, coordinator_pb2.GetSagaRequest(saga_id=request.saga_id))
    return saga_state(saga.state).ended and saga.sequence <= request.after_sequence
