"""The client of a coordinator."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from amends._client import _errors, _requests, _watch
from amends._client._event import Event, EventKind
from amends._client._line import ClientTls, Line
from amends._client._requests import Resolution
from amends._client._saga import Saga, SagaSummary
from amends._client._starter import MAX_IN_FLIGHT, Starter
from amends._client._states import SagaState
from amends._definition import Definition
from amends.errors import NotSettled, TransientError
from amends.v1 import coordinator_pb2

InputT = TypeVar("InputT")

POLL = 30.0
"""Seconds that one request waits for the end of a saga: below what proxies allow an idle call, and most
sagas have ended."""

_SETTLING = frozenset({EventKind.SAGA_PARKED, EventKind.SAGA_COMPLETED, EventKind.SAGA_COMPENSATED})


class Client:
    """Starts sagas at a coordinator, and follows, cancels and repairs them.

    ::

        async with Client("127.0.0.1:50051") as client:
            saga = await client.run("order", {"account": "ada", "amount": 12})
            if saga.completed:
                print(saga.result("charge"))

    A call that meets a coordinator which is away or full is repeated for up to ``patience`` seconds, wherever
    a repetition cannot do harm. After that, and for everything else, calls raise a ``CallError``.

    A client belongs to the event loop in which it is first used.
    """

    def __init__(self, target: str, *, tls: ClientTls | None = None, patience: float = 30.0) -> None:
        """Makes a client; it connects when it is first used.

        Args:
            target: the coordinator's address, such as "127.0.0.1:50051".
            tls: how to encrypt; None: not at all.
            patience: seconds to outlast an absence of the coordinator; 0: fail at once.
        """
        self._line = Line(target, tls, patience)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._line.target!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls under way are cancelled. Sagas go on without their client."""
        await self._line.close()

    # Starting

    async def start(
        self,
        definition: Definition[InputT] | str,
        input: InputT | None = None,  # noqa: A002 # what it is called in the contract
        *,
        saga_id: str | None = None,
        step_inputs: Mapping[str, object] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Saga:
        """Starts a saga and returns it as soon as the coordinator has it on disk.

        Args:
            definition: what to run: a definition, or the name of a registered one.
            input: the input of every step that does not make its own from it: a protobuf message, a
                dataclass, or what JSON can say.
            saga_id: identifies the saga; 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':', '~' and '-'.
                Starting an id again with the same content returns that saga. None: a new UUIDv7.
            step_inputs: inputs of single steps, by step name, instead of what they would get.
            labels: up to 64 labels for finding the saga again.

        Raises ``InvalidArgument``, ``NotFound`` for a name that is not registered, ``AlreadyExists`` for an
        id that was used with other content, ``PayloadError`` for an input that cannot travel. After a
        ``TransientError`` the saga may have started; its ``metadata["saga_id"]`` tells the id with which it
        is safe to start it again.
        """
        request = _requests.start(definition, input, saga_id=saga_id, step_inputs=step_inputs, labels=labels)
        return await self._start(request)

    async def run(
        self,
        definition: Definition[InputT] | str,
        input: InputT | None = None,  # noqa: A002 # what it is called in the contract
        *,
        saga_id: str | None = None,
        step_inputs: Mapping[str, object] | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Saga:
        """Starts a saga and waits until it has ended, or is parked; its ``state`` tells which.

        Takes the arguments of :meth:`start`, and ``timeout``: the seconds to wait; None: as long as it takes.
        The coordinator may be restarted meanwhile.

        Raises what :meth:`start` raises, and ``NotSettled`` (a ``TimeoutError``) when the time is over; the
        saga goes on.
        """
        request = _requests.start(definition, input, saga_id=saga_id, step_inputs=step_inputs, labels=labels)
        async with _limit(request.saga_id, timeout):
            saga = await self._start(request, wait=POLL)
            return saga if saga.state.settled else await self._settled(saga)

    def starter(self, *, max_in_flight: int = MAX_IN_FLIGHT) -> Starter:
        """Returns a starter, which starts sagas by the thousand on one stream; use it in ``async with``.

        Args:
            max_in_flight: starts that may wait for their answer at a time; those beyond wait for their turn.
        """
        return Starter(self._line, max_in_flight)

    async def _start(self, request: coordinator_pb2.StartSagaRequest, wait: float = 0.0) -> Saga:
        if wait:
            request.wait.FromNanoseconds(round(wait * 1e9))
        try:
            return Saga(await self._line.call(self._line.stub.StartSaga, request, wait=wait))
        except TransientError as error:
            raise _errors.of_start(error, request.saga_id) from error.__cause__

    # Looking

    async def get(self, saga_id: str) -> Saga:
        """Returns a saga as it is now. Raises ``NotFound`` if there is none, or none any more."""
        request = coordinator_pb2.GetSagaRequest(saga_id=saga_id)
        return Saga(await self._line.call(self._line.stub.GetSaga, request))

    async def wait(self, saga_id: str, timeout: float | None = None) -> Saga:
        """Waits until a saga has ended, or is parked, and returns it; its ``state`` tells which.

        Args:
            saga_id: identifies the saga.
            timeout: seconds to wait; None: as long as it takes.

        Raises ``NotFound``, and ``NotSettled`` (a ``TimeoutError``) when the time is over.
        """
        async with _limit(saga_id, timeout):
            saga = await self.get(saga_id)
            return saga if saga.state.settled else await self._settled(saga)

    async def _settled(self, saga: Saga) -> Saga:
        while not saga.state.settled:
            async with aclosing(self.watch(saga.id, after=saga.sequence)) as events:
                async for event in events:
                    if event.kind in _SETTLING:
                        break
            saga = await self.get(saga.id)
        return saga

    def watch(self, saga_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """Yields the events of a saga: those so far, then each as it becomes durable, until the saga ends.

        Args:
            saga_id: identifies the saga.
            after: skips the events up to this sequence number.

        Every event comes once and in order, though the coordinator be restarted meanwhile.

        Raises ``NotFound``.
        """
        return _watch.watch(self._line, saga_id, after)

    async def history(self, saga_id: str, *, after: int = 0) -> tuple[Event, ...]:
        """Returns the events of a saga so far, skipping those up to ``after``. Raises ``NotFound``."""
        return await _watch.history(self._line, saga_id, after)

    async def list(
        self,
        *,
        states: Iterable[SagaState | str] = (),
        definition: str = "",
        labels: Mapping[str, str] | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        needs_attention: bool = False,
    ) -> AsyncIterator[SagaSummary]:
        """Yields sagas, the newest first, fetching a page at a time. All conditions must hold.

        Args:
            states: keeps sagas in one of these states; empty: in any.
            definition: keeps sagas of the definition of this name.
            labels: keeps sagas that have all of these labels.
            created_from: keeps sagas created at this time or later; with its time zone.
            created_before: keeps sagas created before this time.
            needs_attention: keeps sagas that an operator should look at.

        Raises ``InvalidArgument``, ``ValueError`` for an unknown state or a time without a zone.
        """
        request = _requests.list_sagas(
            states=states,
            definition=definition,
            labels=labels,
            created_from=created_from,
            created_before=created_before,
            needs_attention=needs_attention,
        )
        while True:
            page = await self._line.call(self._line.stub.ListSagas, request)
            for summary in page.sagas:
                yield SagaSummary(summary)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    # Acting

    async def cancel(self, saga_id: str, *, reason: str = "") -> Saga:
        """Asks a saga to turn back; it may complete all the same if its pivot turns out to have succeeded.

        Args:
            saga_id: identifies the saga.
            reason: why, up to 1,024 characters; kept in the log.

        Raises ``NotFound``, and ``FailedPrecondition`` after the pivot or the completion.
        """
        request = coordinator_pb2.CancelSagaRequest(saga_id=saga_id, reason=reason)
        return Saga(await self._line.call(self._line.stub.CancelSaga, request))

    async def retry(self, saga_id: str, *, reason: str = "") -> Saga:
        """Has what waits for its next attempt, or for an operator, called now.

        Args:
            saga_id: identifies the saga.
            reason: why, up to 1,024 characters; kept in the log.

        Raises ``NotFound``, and ``FailedPrecondition`` once the saga has ended.
        """
        request = coordinator_pb2.RetrySagaRequest(saga_id=saga_id, reason=reason)
        return Saga(await self._line.call(self._line.stub.RetrySaga, request, repeatable=False))

    async def resolve(
        self,
        saga_id: str,
        step: str,
        resolution: Resolution | str,
        *,
        reason: str,
        result: object = None,
    ) -> Saga:
        """States what is true of a step, where an operator knows better than the coordinator can.

        Args:
            saga_id: identifies the saga.
            step: names the step.
            resolution: what is true.
            reason: how the operator knows, 1 to 1,024 characters; kept in the log.
            result: what later steps shall see as the step's result; only with SUCCEEDED.

        Raises ``NotFound``, and ``FailedPrecondition`` where the step is in no state for this.
        """
        request = _requests.resolve(saga_id, step, resolution, reason=reason, result=result)
        return Saga(await self._line.call(self._line.stub.ResolveStep, request, repeatable=False))

    # Definitions

    async def register(self, definition: Definition) -> Definition:
        """Stores a definition under its name and returns it with its version.

        The same content again returns the same version; other content becomes the next one and affects only
        new sagas. Raises ``InvalidArgument``.
        """
        request = coordinator_pb2.RegisterDefinitionRequest(definition=definition.to_proto())
        return Definition.from_proto(await self._line.call(self._line.stub.RegisterDefinition, request))

    async def definition(self, name: str, *, version: int = 0) -> Definition:
        """Returns a registered definition, with the defaults it runs with; version 0 is the newest.

        Raises ``NotFound``.
        """
        request = coordinator_pb2.GetDefinitionRequest(name=name, version=version)
        return Definition.from_proto(await self._line.call(self._line.stub.GetDefinition, request))

    async def definitions(self) -> AsyncIterator[Definition]:
        """Yields the newest version of every definition, by name, fetching a page at a time."""
        request = coordinator_pb2.ListDefinitionsRequest(page_size=_requests.PAGE_SIZE)
        while True:
            page = await self._line.call(self._line.stub.ListDefinitions, request)
            for definition in page.definitions:
                yield Definition.from_proto(definition)
            request.page_token = page.next_page_token
            if not request.page_token:
                return


@asynccontextmanager
async def _limit(saga_id: str, timeout: float | None) -> AsyncIterator[None]:
    """Bounds the time for waiting for a saga."""
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise NotSettled(saga_id, timeout or 0.0) from error
