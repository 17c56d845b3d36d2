"""A coordinator without participants: a real gRPC server whose sagas move when a test says so.

It keeps the contract as far as clients can see it: ids are idempotent by content, events are numbered without
gaps and can be followed from any number, errors carry an ErrorInfo. Its sagas outlive its server, as those of
the real one do, so that a test can restart it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, event_pb2, saga_pb2

ENDED = (saga_pb2.Saga.COMPLETED, saga_pb2.Saga.COMPENSATED)
SETTLED = (*ENDED, saga_pb2.Saga.PARKED)


class FakeError(Exception):
    """Ends a call with a status."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, *details: Message) -> None:
        super().__init__(message)
        self.status = status_pb2.Status(code=code.value[0], message=message)
        info = error_details_pb2.ErrorInfo(reason=reason, domain="amends", metadata={"told": "by the fake"})
        for detail in (info, *details):
            self.status.details.add().Pack(detail)


def overloaded(seconds: float) -> FakeError:
    delay = Duration(nanos=int(seconds * 1e9))
    return FakeError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "FULL", "too many", error_details_pb2.RetryInfo(retry_delay=delay)
    )


def unavailable() -> FakeError:
    return FakeError(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "the disk is full")


class FakeCoordinator(coordinator_pb2_grpc.CoordinatorServicer):
    """The state that outlives a restart, and the service."""

    def __init__(self) -> None:
        self.sagas: dict[str, saga_pb2.Saga] = {}
        self.events: dict[str, list[event_pb2.Event]] = {}
        self.content: dict[str, bytes] = {}
        self.registered: dict[str, list[saga_pb2.Definition]] = {}
        self.calls: list[str] = []  # the RPCs as they came, by name
        self.batches: list[int] = []  # the sizes of messages on streams of starts
        self.metadata: dict[str, str] = {}  # of the last StartSaga
        self.failures: list[FakeError] = []  # what the next calls end with
        self.left = asyncio.Event()  # set when a watcher has left
        self.moved = asyncio.Condition()  # notified when a call arrives and when a saga moves
        self.auto_complete = False

    # What tests do

    async def called(self, call: str, times: int = 1) -> None:
        """Waits until an RPC has been called so many times, and what it does at once is done."""
        async with self.moved:
            await self.moved.wait_for(lambda: self.calls.count(call) >= times)

    async def complete(self, saga_id: str) -> None:
        await self.append(saga_id, saga_completed=event_pb2.SagaCompleted())

    async def append(self, saga_id: str, **fact: Message) -> None:
        """Adds an event to a saga and moves it accordingly."""
        saga, log = self.sagas[saga_id], self.events[saga_id]
        event = event_pb2.Event(saga_id=saga_id, sequence=len(log) + 1, **fact)  # type: ignore[arg-type]
        states = {
            "saga_completed": saga_pb2.Saga.COMPLETED,
            "saga_compensated": saga_pb2.Saga.COMPENSATED,
            "saga_parked": saga_pb2.Saga.PARKED,
            "saga_retried": saga_pb2.Saga.RUNNING,
            "compensation_started": saga_pb2.Saga.COMPENSATING,
        }
        log.append(event)
        saga.sequence = len(log)
        kind = event.WhichOneof("fact") or ""
        saga.state = states.get(kind, saga.state)
        if kind == "compensation_started":
            saga.turn_back.CopyFrom(event.compensation_started.turn_back)
        if kind == "step_succeeded":
            run = next(run for run in saga.steps if run.step == event.step_succeeded.step)
            run.state = saga_pb2.StepRun.SUCCEEDED
            run.result.CopyFrom(event.step_succeeded.result)
        async with self.moved:
            self.moved.notify_all()

    # The service

    async def StartSaga(self, request, context):  # type: ignore[no-untyped-def]
        self.metadata = dict(context.invocation_metadata())
        return await self._answer("StartSaga", context, lambda: self._start(request))

    async def StartSagas(self, request_iterator, context):  # type: ignore[no-untyped-def]
        await self._arrive("StartSagas")
        async for message in request_iterator:
            self.batches.append(len(message.starts))
            response = coordinator_pb2.StartSagasResponse()
            for start in message.starts:
                result = response.results.add(number=start.number)
                try:
                    self._fail_if_told()
                    saga = await self._start(start.request)
                    result.saga_id, result.state = saga.id, saga.state
                except FakeError as error:
                    result.error.CopyFrom(error.status)
            yield response

    async def GetSaga(self, request, context):  # type: ignore[no-untyped-def]
        return await self._answer("GetSaga", context, lambda: self._saga(request.saga_id))

    async def ListSagas(self, request, context):  # type: ignore[no-untyped-def]
        return await self._answer("ListSagas", context, lambda: self._page(request))

    async def WatchSaga(self, request, context):  # type: ignore[no-untyped-def]
        await self._arrive("WatchSaga")
        try:
            async for event in self._follow(request):
                yield event
        except FakeError as error:
            await context.abort_with_status(rpc_status.to_status(error.status))
        finally:
            self.left.set()

    async def CancelSaga(self, request, context):  # type: ignore[no-untyped-def]
        async def cancel() -> saga_pb2.Saga:
            saga = await self._saga(request.saga_id)
            if saga.state == saga_pb2.Saga.COMPLETED:
                self._refuse(grpc.StatusCode.FAILED_PRECONDITION, "SAGA_ENDED", "it has completed")
            if saga.state == saga_pb2.Saga.RUNNING:
                turn_back = saga_pb2.TurnBack(
                    cause=saga_pb2.TurnBack.CANCELLED, reason="CANCELLED", message=request.reason
                )
                fact = event_pb2.CompensationStarted(turn_back=turn_back)
                await self.append(saga.id, compensation_started=fact)
            return saga

        return await self._answer("CancelSaga", context, cancel)

    async def RetrySaga(self, request, context):  # type: ignore[no-untyped-def]
        async def retry() -> saga_pb2.Saga:
            saga = await self._saga(request.saga_id)
            await self.append(saga.id, saga_retried=event_pb2.SagaRetried(reason=request.reason))
            return saga

        return await self._answer("RetrySaga", context, retry)

    async def ResolveStep(self, request, context):  # type: ignore[no-untyped-def]
        async def resolve() -> saga_pb2.Saga:
            saga = await self._saga(request.saga_id)
            fact = event_pb2.StepResolved(
                step=request.step, resolution=request.resolution, reason=request.reason, result=request.result
            )
            await self.append(saga.id, step_resolved=fact)
            return saga

        return await self._answer("ResolveStep", context, resolve)

    async def RegisterDefinition(self, request, context):  # type: ignore[no-untyped-def]
        async def register() -> saga_pb2.Definition:
            versions = self.registered.setdefault(request.definition.name, [])
            new = saga_pb2.Definition()
            new.CopyFrom(request.definition)
            new.version = len(versions)
            if not versions or versions[-1] != new:
                new.version += 1
                versions.append(new)
            return versions[-1]

        return await self._answer("RegisterDefinition", context, register)

    async def GetDefinition(self, request, context):  # type: ignore[no-untyped-def]
        async def get() -> saga_pb2.Definition:
            return self._definition(request.name, request.version)

        return await self._answer("GetDefinition", context, get)

    async def ListDefinitions(self, request, context):  # type: ignore[no-untyped-def]
        async def page() -> coordinator_pb2.ListDefinitionsResponse:
            newest = [versions[-1] for _, versions in sorted(self.registered.items())]
            start = int(request.page_token or 0)
            token = str(start + 1) if start + 1 < len(newest) else ""
            return coordinator_pb2.ListDefinitionsResponse(
                definitions=newest[start : start + 1], next_page_token=token
            )

        return await self._answer("ListDefinitions", context, page)

    # How

    async def _arrive(self, call: str) -> None:
        async with self.moved:
            self.calls.append(call)
            self.moved.notify_all()

    def _fail_if_told(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def _answer(self, call: str, context: grpc.aio.ServicerContext, act: Callable) -> Message:  # type: ignore[type-arg]
        await self._arrive(call)
        try:
            self._fail_if_told()
            return await act()  # type: ignore[no-any-return]
        except FakeError as error:
            await context.abort_with_status(rpc_status.to_status(error.status))

    def _refuse(self, code: grpc.StatusCode, reason: str, message: str, *details: Message) -> NoReturn:
        raise FakeError(code, reason, message, *details)

    async def _saga(self, saga_id: str) -> saga_pb2.Saga:
        if saga_id not in self.sagas:
            self._refuse(grpc.StatusCode.NOT_FOUND, "NO_SUCH_SAGA", f"there is no saga {saga_id!r}")
        return self.sagas[saga_id]

    def _definition(self, name: str, version: int = 0) -> saga_pb2.Definition:
        versions = self.registered.get(name, [])
        if not 0 <= version <= len(versions) or not versions:
            self._refuse(grpc.StatusCode.NOT_FOUND, "NO_SUCH_DEFINITION", f"there is no definition {name!r}")
        return versions[version - 1]

    async def _start(self, request: coordinator_pb2.StartSagaRequest) -> saga_pb2.Saga:
        wait = request.wait.ToTimedelta().total_seconds()
        saga = await self._accept(request)
        if wait:
            async with self.moved:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.moved.wait_for(lambda: saga.state in SETTLED), wait)
        return saga

    async def _accept(self, request: coordinator_pb2.StartSagaRequest) -> saga_pb2.Saga:
        content = coordinator_pb2.StartSagaRequest()
        content.CopyFrom(request)
        content.ClearField("wait")
        content.ClearField("traceparent")
        known = self.content.setdefault(request.saga_id, content.SerializeToString(deterministic=True))
        if known != content.SerializeToString(deterministic=True):
            self._refuse(grpc.StatusCode.ALREADY_EXISTS, "SAGA_EXISTS", "the id is taken")
        if request.saga_id in self.sagas:
            return self.sagas[request.saga_id]
        definition = request.definition
        if request.WhichOneof("source") == "definition_name":
            definition = self._definition(request.definition_name)
        if not definition.steps:
            bad = error_details_pb2.BadRequest()
            bad.field_violations.add(field="definition.steps", description="has 0 steps")
            self._refuse(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_DEFINITION", "malformed", bad)
        saga = saga_pb2.Saga(
            id=request.saga_id,
            definition=definition,
            state=saga_pb2.Saga.RUNNING,
            steps=[
                saga_pb2.StepRun(step=step.name, state=saga_pb2.StepRun.WAITING) for step in definition.steps
            ],
            input=request.input,
            step_inputs=request.step_inputs,
            labels=request.labels,
            traceparent=request.traceparent,
        )
        saga.create_time.GetCurrentTime()
        self.sagas[saga.id] = saga
        self.events[saga.id] = []
        await self.append(saga.id, saga_started=event_pb2.SagaStarted(definition=definition))
        if self.auto_complete:
            await self.complete(saga.id)
        return saga

    async def _follow(self, request: coordinator_pb2.WatchSagaRequest) -> AsyncIterator[event_pb2.Event]:
        self._fail_if_told()
        saga = await self._saga(request.saga_id)
        log, told = self.events[saga.id], request.after_sequence
        while True:
            while told < len(log):
                yield log[told]
                told += 1
            if request.history_only or saga.state in ENDED:
                return
            async with self.moved:
                if told == len(log):
                    await self.moved.wait()

    async def _page(self, request: coordinator_pb2.ListSagasRequest) -> coordinator_pb2.ListSagasResponse:
        found = [
            saga
            for saga in reversed(self.sagas.values())
            if (not request.states or saga.state in request.states)
            and request.definition_name in ("", saga.definition.name)
            and request.labels.items() <= dict(saga.labels).items()
        ]
        start, size = int(request.page_token or 0), 2
        response = coordinator_pb2.ListSagasResponse()
        for saga in found[start : start + size]:
            response.sagas.add(
                id=saga.id,
                definition_name=saga.definition.name,
                state=saga.state,
                labels=saga.labels,
                create_time=saga.create_time,
            )
        response.next_page_token = str(start + size) if start + size < len(found) else ""
        return response


class FakeServer:
    """A fake coordinator at a port, which stays the same when it is started again."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.coordinator = FakeCoordinator()
        self.port = 0
        self._credentials = credentials
        self._server: grpc.aio.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = grpc.aio.server()
        coordinator_pb2_grpc.add_CoordinatorServicer_to_server(self.coordinator, self._server)
        address = f"127.0.0.1:{self.port}"
        if self._credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self._credentials)
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)
        self._server = None

    async def restart(self) -> None:
        await self.stop()
        await self.start()
