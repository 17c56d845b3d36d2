"""Starting sagas, for StartSaga and StartSagas alike.

A start whose definition was admitted before is accepted without waiting for anything but the disk; only the
first of its kind looks up definitions and asks participants what they offer.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from amends.v1 import coordinator_pb2 as pb
from amends_coordinator.api.requests import Start, check_inputs, check_step_inputs, read_start
from amends_coordinator.calls.spans import Spans, parse_traceparent
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import microseconds
from amends_coordinator.runtime.admission import Admission
from amends_coordinator.runtime.errors import (
    AlreadyExistsError,
    ExistsInStoreError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RequestError,
    UnavailableError,
)
from amends_coordinator.runtime.live import Waiter
from amends_coordinator.runtime.registry import Registry
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.timers import Timer

Told = Callable[[Saga], None]
Failed = Callable[[Exception], None]

MAX_TRACEPARENT = 128
"""Characters of a traceparent: the present version has 55, and a later one may add to it."""


MAX_ADMITTING = 2_000
"""Starts that wait for their definition to be found and admitted: they are not sagas yet, so the room for
those does not bound them, and each holds its request, of up to some megabytes."""

MAX_ADMITTING_ALIKE = 1_000
"""Of these, those that wait for the same participants, so that one that hangs leaves room for the definitions
of others. A client of the SDK has about as many starts on their way."""

ADMITTING_DELAY = 1.0
"""Seconds after which a client that was turned away should come again: a participant has that long to
describe itself."""


class Starter:
    """Accepts starts, and tells of each once it is durable or, where it waits, once it has ended."""

    def __init__(self, runtime: Runtime, admission: Admission, registry: Registry, spans: Spans) -> None:
        """Starts sagas in a runtime."""
        self._runtime = runtime
        self._admission = admission
        self._registry = registry
        self._spans = spans
        self._tasks: set[asyncio.Task[None]] = set()
        self.admitting = 0  # starts that wait for their definition
        self._alike: Counter[Hashable] = (
            Counter()
        )  # the same, by participants; of one yet to be found, by its name

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
            definition = start.definition or self._registry.newest(start.definition_name)
            admitted = None if definition is None else self._admission.admitted(definition)
        except Exception as error:  # the RPC's status tells the foreseen from the unforeseen
            failed(error)
            return
        launch = _Launch(self, start, traceparent, patience, told, failed)
        if admitted is not None:
            launch.go(admitted)
        else:
            self._admit_first(
                launch, start.definition_name if definition is None else definition.participants
            )

    def _admit_first(self, launch: "_Launch", alike: Hashable) -> None:
        waiting = self._alike[alike]
        if self.admitting >= MAX_ADMITTING or waiting >= MAX_ADMITTING_ALIKE:
            what = (
                f"{self.admitting} starts wait for their definition to be admitted, {waiting} like this one"
            )
            launch.failed(OverloadedError("TOO_MANY_STARTS", what, ADMITTING_DELAY))
            return
        self.admitting += 1
        self._alike[alike] += 1
        self.spawn(self._start_slowly(launch, alike))

    async def _start_slowly(self, launch: "_Launch", alike: Hashable) -> None:
        try:
            definition = await launch.admitted()
        finally:
            self.admitting -= 1
            self._alike[alike] -= 1
            if not self._alike[alike]:
                del self._alike[alike]
        if definition is not None:
            launch.go(definition)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what has to wait; the task is ours to end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is still waiting, and what was to be found out for starts to come."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._admission.close()

    async def find(self, start: Start) -> Definition:
        """Finds the definition of a start. Raises RequestError."""
        return start.definition or await self._registry.get(start.definition_name)

    async def admit(self, definition: Definition) -> Definition:
        """Checks a definition against its participants. Raises InvalidRequestError, UnavailableError."""
        try:
            return await self._admission.admit(definition)
        except InvalidRequestError as error:
            raise error.within("definition") from None

    def fact(self, start: Start, definition: Definition, traceparent: str) -> SagaStarted:
        """Makes the fact with which a saga begins."""
        now = self._runtime.timers.now()
        parent = next(filter(_continuable, (start.traceparent, traceparent)), "")
        return SagaStarted(
            definition=definition,
            input=start.input,
            step_inputs=start.step_inputs,
            labels=start.labels,
            deadline=None if definition.timeout is None else microseconds(now + definition.timeout),
            traceparent=parent or self._spans.root(definition.name, start.saga_id),
            definition_by_name=start.definition is None,
        )

    def launch(self, start: Start, fact: SagaStarted, waiter: Waiter) -> None:
        """Hands a start to the runtime. Raises RequestError."""
        if start.step_inputs:
            check_step_inputs(start, fact.definition)
        if fact.definition.calls_methods or fact.definition.input_type:
            check_inputs(start, fact.definition)
        self._runtime.start(start.saga_id, fact, waiter)

    async def join(self, start: Start, fact: SagaStarted, waiter: Waiter) -> None:
        """Joins the saga in the store that has the id of a start."""
        await self._runtime.join_stored(start.saga_id, fact, waiter)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls back later."""
        return self._runtime.timers.at(self._runtime.timers.now() + seconds, callback)

    def stop_waiting(self, start: Start, waiter: Waiter) -> None:
        """Has a waiter told of the saga as it is, instead of its end."""
        self._runtime.stop_waiting(start.saga_id, waiter)


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
            self.fact = self._starter.fact(self.start, definition, self._traceparent)
            self._starter.launch(self.start, self.fact, self.waiter)
        except InvalidRequestError as error:
            self._starter.spawn(self._join(error))
        except Exception as error:  # as in begin
            self.failed(error)

    async def admitted(self) -> Definition | None:
        """Finds and admits the definition; None if the caller is answered without it."""
        try:
            definition = await self._starter.find(self.start)
            try:
                return await self._starter.admit(definition)
            except (InvalidRequestError, UnavailableError) as error:
                self.fact = self._starter.fact(self.start, definition, self._traceparent)
                await self._join(error)
                return None
        except Exception as error:  # as in begin
            self.failed(error)
            return None

    def told(self, saga: Saga) -> None:
        """Answers with the saga."""
        if self._close():
            self._told(saga)

    def failed(self, error: Exception) -> None:
        """Answers with an error, unless it only says that the saga is in the store already."""
        if isinstance(error, ExistsInStoreError):
            self._starter.spawn(self._join(error))
        elif self._close():
            self._failed(error)

    async def _join(self, refusal: RequestError) -> None:
        """Joins the saga that this start repeats, or fails.

        A start that would be refused today may repeat one that was accepted when its definition or its
        participants were others; it is that saga all the same (P10).
        """
        assert self.fact is not None, "what is compared with a saga was made before"
        try:
            await self._starter.join(self.start, self.fact, self.waiter)
        except (NotFoundError, AlreadyExistsError) as error:
            refused = isinstance(refusal, InvalidRequestError | UnavailableError)
            self.failed(refusal if refused else error)
        except Exception as error:  # as in begin
            self.failed(error)

    def _out_of_time(self) -> None:
        """Answers with the saga as far as it came: running out of time is no error."""
        self._timer = None
        self._starter.stop_waiting(self.start, self.waiter)

    def _close(self) -> bool:
        if self._answered:
            return False
        self._answered = True
        if self._timer is not None:
            self._timer.cancel()
        return True


def _continuable(traceparent: str) -> bool:
    """Whether a trace can be continued. What is malformed is ignored, as W3C Trace Context has it."""
    return len(traceparent) <= MAX_TRACEPARENT and parse_traceparent(traceparent) is not None
