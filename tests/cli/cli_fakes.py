"""A coordinator that says what a test tells it to, and the messages it says it with."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from click.testing import Result
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, event_pb2, saga_pb2

START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

Run = Callable[..., Result]


def event(sequence: int, seconds: float = 0.0, **fact: Any) -> event_pb2.Event:
    """An event of the saga "s-1", so many seconds after its start."""
    made = event_pb2.Event(saga_id="s-1", sequence=sequence, **fact)
    made.time.FromDatetime(START + timedelta(seconds=seconds))
    return made


def order(**fields: Any) -> saga_pb2.Definition:
    """The order definition: reserve, charge (the pivot), ship."""
    steps = [
        saga_pb2.Step(name="reserve", participant="inventory", action="reserve"),
        saga_pb2.Step(name="charge", participant="payments", action="charge", kind="PIVOT"),
        saga_pb2.Step(name="ship", participant="shipping", action="ship", kind="RETRIABLE"),
    ]
    return saga_pb2.Definition(name="order", version=2, steps=steps, **fields)


def saga(state: str, **fields: Any) -> saga_pb2.Saga:
    """A saga "s-1" of the order definition."""
    made = saga_pb2.Saga(id="s-1", state=state, definition=order(), **fields)
    made.create_time.FromDatetime(START)
    return made


class FakeCoordinator(coordinator_pb2_grpc.CoordinatorServicer):
    """Answers from what the test put in, and keeps the requests."""

    def __init__(self) -> None:
        self.sagas: dict[str, saga_pb2.Saga] = {}
        self.events: list[event_pb2.Event] = []
        self.break_watch_after: list[int] = []  # how many events each next stream sends before it breaks
        self.stays_open = False  # whether a stream goes on after its last event, until it is cancelled
        self.summaries: list[coordinator_pb2.SagaSummary] = []
        self.definitions: dict[str, saga_pb2.Definition] = {}
        self.fail: status_pb2.Status | None = None
        self.requests: list[Any] = []

    def _take(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        if self.fail is not None:
            context.abort_with_status(rpc_status.to_status(self.fail))

    def _saga(self, saga_id: str, context: Any) -> saga_pb2.Saga:
        if saga_id not in self.sagas:
            context.abort_with_status(
                rpc_status.to_status(failure(grpc.StatusCode.NOT_FOUND, f"there is no saga {saga_id}"))
            )
        return self.sagas[saga_id]

    def StartSaga(self, request: coordinator_pb2.StartSagaRequest, context: Any) -> saga_pb2.Saga:
        self._take(request, context)
        made = self.sagas.get("s-1") or saga("RUNNING")
        made.id = request.saga_id
        self.sagas[made.id] = made
        return made

    def GetSaga(self, request: coordinator_pb2.GetSagaRequest, context: Any) -> saga_pb2.Saga:
        self._take(request, context)
        return self._saga(request.saga_id, context)

    def ListSagas(
        self, request: coordinator_pb2.ListSagasRequest, context: Any
    ) -> coordinator_pb2.ListSagasResponse:
        kept = coordinator_pb2.ListSagasRequest()
        kept.CopyFrom(request)
        self._take(kept, context)
        start = int(request.page_token or 0)
        end = start + min(request.page_size, 2)  # small pages, as a coordinator is free to send
        return coordinator_pb2.ListSagasResponse(
            sagas=self.summaries[start:end], next_page_token=str(end) if end < len(self.summaries) else ""
        )

    def WatchSaga(self, request: coordinator_pb2.WatchSagaRequest, context: Any) -> Iterator[event_pb2.Event]:
        self._take(request, context)
        self._saga(request.saga_id, context)
        left = self.break_watch_after.pop(0) if self.break_watch_after else len(self.events)
        for made in self.events[request.after_sequence :]:
            if left == 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            left -= 1
            yield made
        if self.stays_open:
            cancelled = threading.Event()
            if context.add_callback(cancelled.set):
                cancelled.wait()

    def CancelSaga(self, request: coordinator_pb2.CancelSagaRequest, context: Any) -> saga_pb2.Saga:
        self._take(request, context)
        return self._saga(request.saga_id, context)

    def RetrySaga(self, request: coordinator_pb2.RetrySagaRequest, context: Any) -> saga_pb2.Saga:
        self._take(request, context)
        return self._saga(request.saga_id, context)

    def ResolveStep(self, request: coordinator_pb2.ResolveStepRequest, context: Any) -> saga_pb2.Saga:
        self._take(request, context)
        return self._saga(request.saga_id, context)

    def RegisterDefinition(
        self, request: coordinator_pb2.RegisterDefinitionRequest, context: Any
    ) -> saga_pb2.Definition:
        self._take(request, context)
        stored = saga_pb2.Definition()
        stored.CopyFrom(request.definition)
        stored.version = 1
        self.definitions[stored.name] = stored
        return stored

    def GetDefinition(
        self, request: coordinator_pb2.GetDefinitionRequest, context: Any
    ) -> saga_pb2.Definition:
        self._take(request, context)
        return self.definitions[request.name]

    def ListDefinitions(
        self, request: coordinator_pb2.ListDefinitionsRequest, context: Any
    ) -> coordinator_pb2.ListDefinitionsResponse:
        self._take(request, context)
        return coordinator_pb2.ListDefinitionsResponse(definitions=list(self.definitions.values()))


def failure(
    code: grpc.StatusCode, message: str, *, reason: str = "", fields: dict[str, str] | None = None
) -> status_pb2.Status:
    """A status with the details that a coordinator sends."""
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(domain="amends", reason=reason))
    if fields:
        bad = error_details_pb2.BadRequest()
        for field, description in fields.items():
            bad.field_violations.add(field=field, description=description)
        status.details.add().Pack(bad)
    return status
