"""Calls by unary RPCs: one task for each call in flight."""

import asyncio
import logging
from collections.abc import Callable

import grpc
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc as pb_grpc
from amends_coordinator.calls.attempt import MAX_REQUEST, Attempt, fill_compensate, fill_try
from amends_coordinator.calls.methods import Methods
from amends_coordinator.calls.reading import (
    MAX_WORDS,
    read_compensate,
    read_status,
    read_try,
    status_of,
    too_large,
)
from amends_coordinator.calls.spans import Spans
from amends_coordinator.core.outcomes import Outcome, Unknown
from amends_coordinator.core.values import Direction

log = logging.getLogger(__name__)


class UnaryCalls:
    """Sends attempts one by one and tells what each came to."""

    def __init__(
        self,
        stub: "pb_grpc.ParticipantAsyncStub",
        methods: Methods,
        spans: Spans,
        ended: Callable[[Attempt, Outcome], None],
    ) -> None:
        """Makes a sender.

        Args:
            stub: of the participant.
            methods: calls the methods that steps name instead of an action.
            spans: the trace.
            ended: is told what an attempt came to.
        """
        self._stub = stub
        self._methods = methods
        self._spans = spans
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, attempt: Attempt) -> None:
        """Sends an attempt; its end is told later."""
        task = asyncio.get_running_loop().create_task(self._call(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Abandons what is in flight."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, attempt: Attempt) -> None:
        try:
            with self._spans.current(attempt):
                outcome = await self._outcome(attempt)
        except grpc.aio.AioRpcError as error:
            rules = attempt.step.rules(attempt.direction)
            outcome = read_status(attempt.direction, status_of(error), rules)
        except Exception as error:  # a reply that cannot be decoded may surface as anything
            saga_id, step = attempt.saga.id, attempt.step.name
            fields = {"action": "call_failed", "saga_id": saga_id, "step": step}
            log.warning("a call ended in a way that nobody foresaw", exc_info=error, extra=fields)
            outcome = Unknown(Code.DATA_LOSS, repr(error)[:MAX_WORDS])
        self._ended(attempt, outcome)

    async def _outcome(self, attempt: Attempt) -> Outcome:
        timeout, metadata = attempt.step.timeout, _metadata(attempt)
        if attempt.by_method:
            return await self._methods.outcome(attempt, metadata)
        if attempt.direction is Direction.FORWARD:
            request = pb.TryRequest()
            fill_try(request, attempt)
            if request.ByteSize() > MAX_REQUEST:
                return too_large(attempt.direction, request.ByteSize())
            return read_try(await self._stub.Try(request, timeout=timeout, metadata=metadata))
        undo = pb.CompensateRequest()
        fill_compensate(undo, attempt)
        if undo.ByteSize() > MAX_REQUEST:
            return too_large(attempt.direction, undo.ByteSize())
        return read_compensate(await self._stub.Compensate(undo, timeout=timeout, metadata=metadata))


def _metadata(attempt: Attempt) -> tuple[tuple[str, str], ...]:
    """Hands the client's trace on where the coordinator itself traces nothing."""
    traceparent = attempt.saga.traceparent
    return (("traceparent", traceparent),) if traceparent and attempt.span is None else ()
