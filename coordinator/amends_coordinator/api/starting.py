"""Starting sagas, for StartSaga and StartSagas alike.

A start whose definition was admitted before is accepted without waiting for anything but the disk; only the
first of its kind looks up definitions and asks participants what they offer.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from amends.v1 import coordinator_pb2 as pb
from amends_coordinator.api.requests import Start, check_step_inputs, read_start
from amends_coordinator.calls.spans import Spans, parse_traceparent
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import microseconds
from amends_coordinator.runtime.admission import Admission
from amends_coordinator.runtime.errors import RequestError
from amends_coordinator.runtime.live import Waiter
from amends_coordinator.runtime.registry import Registry
from amends_coordinator.runtime.runtime import ExistsInStoreError, Runtime
from amends_coordinator.timers import Timer

Told = Callable[[Saga], None]
Failed = Callable[[Exception], None]


class Starter:
    """Accepts starts, and tells of each once it is durable or, where it waits, once it has ended."""

    def __init__(self, runtime: Runtime, admission: Admission, registry: Registry, spans: Spans) -> None:
        """Starts sagas in a runtime."""
        self._runtime = runtime
        self._admission = admission
        self._registry = registry
        self._spans = spans
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self,
        request: pb.StartSagaRequest,
        traceparent: str,
        patience: float | None,
        told: Told,
        failed: Failed,
    ) -> None:
        """Begins one start; exactly one of ``told`` and ``failed`` is called, now or later.

        Args:
            request: as it came.
            traceparent: that of the RPC, for a request without one.
            patience: seconds that the caller has left; None for no end.
            told: is given the saga.
            failed: is given what the RPC should fail with.
        """
        try:
            start = read_start(request)
        except RequestError as error:
            failed(error)
            return
        launch = _Launch(self, start, traceparent, patience, told, failed)
        definition = start.definition or self._registry.newest(start.definition_name)
        if definition is not None and self._admission.knows(definition):
            launch.go(definition)
        else:
            self.spawn(launch.go_slowly())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what has to wait; the task is ours to end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is still waiting."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def admitted(self, start: Start) -> Definition:
        """Finds the definition of a start and admits it. Raises RequestError."""
        definition = start.definition or await self._registry.get(start.definition_name)
        await self._admission.admit(definition)
        return definition

    def launch(self, start: Start, definition: Definition, traceparent: str, waiter: Waiter) -> SagaStarted:
        """Hands a start to the runtime. Raises RequestError."""
        if start.step_inputs:
            check_step_inputs(start, definition)
        now = self._runtime.timers.now()
        parent = start.traceparent if parse_traceparent(start.traceparent) else traceparent
        fact = SagaStarted(
            definition=definition,
            input=start.input,
            step_inputs=start.step_inputs,
            labels=start.labels,
            deadline=None if definition.timeout is None else microseconds(now + definition.timeout),
            traceparent=parent or self._spans.root(definition.name, start.saga_id),
            definition_by_name=start.definition is None,
        )
        self._runtime.start(start.saga_id, fact, waiter)
        return fact

    async def join(self, start: Start, fact: SagaStarted, waiter: Waiter) -> None:
        """Joins the saga in the store that has the id of a start."""
        await self._runtime.join_stored(start.saga_id, fact, waiter)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls back later."""
        return self._runtime.timers.at(self._runtime.timers.now() + seconds, callback)

    def saga(self, saga_id: str) -> Saga | None:
        """Finds a live saga."""
        live = self._runtime.live(saga_id)
        return None if live is None else live.saga


class _Launch:
    """One start on its way: sees to it that its caller is answered once."""

    __slots__ = (
        "_answered",
        "_failed",
        "_starter",
        "_timer",
        "_told",
        "_traceparent",
        "fact",
        "start",
        "waiter",
    )

    def __init__(
        self,
        starter: Starter,
        start: Start,
        traceparent: str,
        patience: float | None,
        told: Told,
        failed: Failed,
    ) -> None:
        self._starter = starter
        self.start = start
        self._traceparent = traceparent
        self._told = told
        self._failed = failed
        self._answered = False
        self._timer: Timer | None = None
        self.fact: SagaStarted | None = None
        self.waiter = Waiter(self.told, self.failed, until_end=start.wait > 0)
        if start.wait > 0:
            wait = start.wait if patience is None else min(start.wait, patience)
            self._timer = starter.after(wait, self._out_of_time)

    def go(self, definition: Definition) -> None:
        """Starts the saga with an admitted definition."""
        try:
            self.fact = self._starter.launch(self.start, definition, self._traceparent, self.waiter)
        except RequestError as error:
            self.failed(error)

    async def go_slowly(self) -> None:
        """Starts the saga once its definition is found and admitted."""
        try:
            definition = await self._starter.admitted(self.start)
        except (
            Exception
        ) as error:  # answered as the RPC's status, which tells the foreseen from the unforeseen
            self.failed(error)
            return
        self.go(definition)

    def told(self, saga: Saga) -> None:
        """Answers with the saga."""
        if self._close():
            self._told(saga)

    def failed(self, error: Exception) -> None:
        """Answers with an error, unless it only says that the saga is in the store already."""
        if isinstance(error, ExistsInStoreError):
            self._starter.spawn(self._join())
        elif self._close():
            self._failed(error)

    async def _join(self) -> None:
        assert self.fact is not None, "the store can only know a saga that was handed to it"
        try:
            await self._starter.join(self.start, self.fact, self.waiter)
        except Exception as error:  # as above
            self.failed(error)

    def _out_of_time(self) -> None:
        """Answers with the saga as it is: running out of time is no error."""
        saga = self._starter.saga(self.start.saga_id)
        if saga is not None:
            self.told(saga)

    def _close(self) -> bool:
        if self._answered:
            return False
        self._answered = True
        if self._timer is not None:
            self._timer.cancel()
        return True
