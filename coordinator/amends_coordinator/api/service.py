"""The servicer of amends.v1.Coordinator."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import coordinator_pb2_grpc, event_pb2, saga_pb2
from amends_coordinator.api import requests
from amends_coordinator.api.errors import abort, answering, to_status
from amends_coordinator.api.followed import Followed
from amends_coordinator.api.starting import Starter
from amends_coordinator.contract.definitions import definition_to_proto
from amends_coordinator.contract.facts import event_to_proto
from amends_coordinator.contract.sagas import result_to_proto, saga_to_proto
from amends_coordinator.contract.values import moment_to_proto
from amends_coordinator.core import stimuli
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.saga import Saga
from amends_coordinator.runtime.errors import InvalidRequestError
from amends_coordinator.runtime.live import Waiter
from amends_coordinator.runtime.registry import Registry
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.runtime.watching import watch
from amends_coordinator.store.interface import Cursor, SagaRow
from amends_coordinator.store.tracking import TrackedRow
from amends_coordinator.tracker.tracker import Tracker

MARGIN = 0.1
"""Seconds before an RPC's deadline at which a start that waits answers, so that the answer arrives."""

MAX_RESULTS = 256
"""Results of one message of StartSagas."""

MAX_UNREAD = 4 * MAX_RESULTS
"""Results that a client has not taken yet, beyond which no more of its starts are read: whoever sends and
does not read must not fill our memory. Four messages keep a client busy that does read."""

MAX_PAGE_BYTES = 2 << 20
"""Bytes of definitions in a page of more than one: descriptors can make them large, and clients of gRPC take
4 MiB by default."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CoordinatorService(coordinator_pb2_grpc.CoordinatorServicer):
    """Answers clients."""

    def __init__(
        self, runtime: Runtime, registry: Registry, starter: Starter, tracker: Tracker | None = None
    ) -> None:
        """Serves a runtime, and shows beside its sagas those that a tracker follows, if there is one."""
        self._runtime = runtime
        self._registry = registry
        self._starter = starter
        self._followed = Followed(runtime, tracker)

    # Starting

    @answering
    async def StartSaga(self, request: pb.StartSagaRequest, context: Context) -> saga_pb2.Saga:
        answer, waiter = _answer()
        remaining = context.time_remaining()
        self._starter.begin(
            request,
            _traceparent(context),
            None if remaining is None else max(remaining - MARGIN, 0.0),
            waiter.told,
            waiter.failed,
        )
        return await answer

    async def StartSagas(
        self, request_iterator: AsyncIterator[pb.StartSagasRequest], context: Context
    ) -> AsyncIterator[pb.StartSagasResponse]:
        stream = _StartStream(self._starter, _traceparent(context))
        reader = asyncio.create_task(stream.read(request_iterator))
        try:
            async for response in stream.responses():
                yield response
            await reader
        finally:
            reader.cancel()

    # Looking

    @answering
    async def GetSaga(self, request: pb.GetSagaRequest, _context: Context) -> saga_pb2.Saga:
        if (followed := await self._followed.get(request.saga_id)) is not None:
            return followed
        self._followed.check_id(request.saga_id)
        live = self._runtime.live(request.saga_id)
        if live is None or self._runtime.journal.trouble is not None:
            return saga_to_proto(await self._runtime.read(request.saga_id))
        answer, waiter = _answer()
        self._runtime.when_durable(live, waiter)
        return await answer

    @answering
    async def ListSagas(self, request: pb.ListSagasRequest, _context: Context) -> pb.ListSagasResponse:
        condition = requests.read_filter(request)
        size = requests.read_page_size(request.page_size)
        after = requests.read_token(condition, request.page_token)
        rows = await self._followed.list_rows(condition, after, size + 1)
        response = pb.ListSagasResponse(sagas=[_summary(row) for row in rows[:size]])
        if len(rows) > size:
            last = rows[size - 1]
            response.next_page_token = requests.write_token(condition, Cursor(last.create_time, last.id))
        return response

    async def WatchSaga(
        self, request: pb.WatchSagaRequest, context: Context
    ) -> AsyncIterator[event_pb2.Event]:
        after, live = max(request.after_sequence, 0), not request.history_only
        try:
            if (told := await self._followed.watch(request.saga_id, after, live=live)) is not None:
                async for followed in told:
                    yield followed
                return
            self._followed.check_id(request.saga_id)
            async for event in watch(self._runtime, request.saga_id, after, live=live):
                yield event_to_proto(request.saga_id, event)
        except Exception as error:  # to_status tells the foreseen from the unforeseen
            await abort(context, error)

    # Moving on

    @answering
    async def CancelSaga(self, request: pb.CancelSagaRequest, _context: Context) -> saga_pb2.Saga:
        await self._followed.refuse(request.saga_id)
        requests.check_saga_id(request.saga_id)
        requests.check_words("reason", request.reason)
        return await self._wish(request.saga_id, stimuli.CancelWished(request.reason))

    @answering
    async def RetrySaga(self, request: pb.RetrySagaRequest, _context: Context) -> saga_pb2.Saga:
        await self._followed.refuse(request.saga_id)
        requests.check_saga_id(request.saga_id)
        requests.check_words("reason", request.reason)
        return await self._wish(request.saga_id, stimuli.RetryWished(request.reason))

    @answering
    async def ResolveStep(self, request: pb.ResolveStepRequest, _context: Context) -> saga_pb2.Saga:
        await self._followed.refuse(request.saga_id)
        resolution, result = requests.read_resolution(request)
        _, saga = await self._runtime.load(request.saga_id)
        place = saga.definition.position.get(request.step)
        if place is None:
            known = ", ".join(saga.definition.position)
            raise InvalidRequestError(
                [Violation("step", f"is {request.step!r}, but the steps of this saga are: {known}")]
            )
        if result is not None:
            requests.check_result(result, saga.definition, place)
        stimulus = stimuli.ResolveWished(place, resolution, request.reason, result)
        return await self._wish(request.saga_id, stimulus)

    async def _wish(self, saga_id: str, stimulus: stimuli.Stimulus) -> saga_pb2.Saga:
        live, saga = await self._runtime.load(saga_id)
        if live is None:
            # An ended saga: the machine says whether the wish is refused or already granted.
            self._runtime.consider(saga, stimulus)
            return saga_to_proto(saga)
        answer, waiter = _answer()
        self._runtime.wish(live, stimulus, waiter)
        return await answer

    # Definitions

    @answering
    async def RegisterDefinition(
        self, request: pb.RegisterDefinitionRequest, _context: Context
    ) -> saga_pb2.Definition:
        definition = requests.read_definition(request.definition)
        try:
            return _definition(*await self._registry.register(definition))
        except InvalidRequestError as error:
            raise error.within("definition") from None

    @answering
    async def GetDefinition(self, request: pb.GetDefinitionRequest, _context: Context) -> saga_pb2.Definition:
        if request.version < 0:
            raise InvalidRequestError([Violation("version", "must not be negative")])
        requests.check_definition_name(request.name)
        return _definition(*await self._registry.get_version(request.name, request.version))

    @answering
    async def ListDefinitions(
        self, request: pb.ListDefinitionsRequest, _context: Context
    ) -> pb.ListDefinitionsResponse:
        size = requests.read_page_size(request.page_size)
        found = await self._registry.list(request.page_token, size + 1)
        response, taken = pb.ListDefinitionsResponse(), 0
        for each in found[:size]:
            definition = _definition(*each)
            taken += definition.ByteSize()
            if taken > MAX_PAGE_BYTES and response.definitions:
                break
            response.definitions.append(definition)
        if len(found) > len(response.definitions):
            response.next_page_token = response.definitions[-1].name
        return response


class _StartStream:
    """One stream of starts: what is ready when the last message has left goes into the next one."""

    def __init__(self, starter: Starter, traceparent: str) -> None:
        self._starter = starter
        self._traceparent = traceparent
        self._results: list[pb.StartSagasResponse.Result] = []
        self._ready = asyncio.Event()
        self._taken = asyncio.Event()
        self._outstanding = 0
        self._reading = True

    async def read(self, messages: AsyncIterator[pb.StartSagasRequest]) -> None:
        """Begins every start that comes in."""
        try:
            async for message in messages:
                for start in message.starts:
                    self._begin(start)
                while len(self._results) >= MAX_UNREAD:
                    self._taken.clear()
                    await self._taken.wait()
        finally:
            self._reading = False
            self._ready.set()

    def _begin(self, start: pb.StartSagasRequest.Start) -> None:
        self._outstanding += 1
        number = start.number

        def told(saga: Saga) -> None:
            self._add(result_to_proto(number, saga))

        def failed(error: Exception) -> None:
            self._add(pb.StartSagasResponse.Result(number=number, error=to_status(error)))

        self._starter.begin(start.request, self._traceparent, None, told, failed)

    def _add(self, result: pb.StartSagasResponse.Result) -> None:
        self._outstanding -= 1
        self._results.append(result)
        self._ready.set()

    async def responses(self) -> AsyncIterator[pb.StartSagasResponse]:
        """Yields results until every start is answered and no more come in."""
        while self._reading or self._outstanding or self._results:
            await self._ready.wait()
            self._ready.clear()
            while self._results:
                batch, self._results = self._results[:MAX_RESULTS], self._results[MAX_RESULTS:]
                self._taken.set()
                yield pb.StartSagasResponse(results=batch)


def _answer() -> tuple[asyncio.Future[saga_pb2.Saga], Waiter]:
    """A future, and the waiter that settles it unless its owner has gone.

    The message is made when the waiter is told: by the time the RPC goes on, the saga may show more, which is
    not durable yet.
    """
    answer: asyncio.Future[saga_pb2.Saga] = asyncio.get_running_loop().create_future()
    waiter = Waiter(
        told=lambda saga: None if answer.done() else answer.set_result(saga_to_proto(saga)),
        failed=lambda error: None if answer.done() else answer.set_exception(error),
    )
    return answer, waiter


def _traceparent(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent":
            return str(value)
    return ""


def _definition(definition: Definition, time: float) -> saga_pb2.Definition:
    message = definition_to_proto(definition)
    message.create_time.CopyFrom(moment_to_proto(time))
    return message


def _summary(row: SagaRow | TrackedRow) -> pb.SagaSummary:
    summary = pb.SagaSummary(
        id=row.id,
        definition_name=row.definition_name,
        state=saga_pb2.Saga.State.ValueType(row.state),
        labels=row.labels if isinstance(row, SagaRow) else {},
        create_time=moment_to_proto(row.create_time),
        needs_attention=row.needs_attention,
    )
    if row.end_time is not None:
        summary.end_time.CopyFrom(moment_to_proto(row.end_time))
    return summary
