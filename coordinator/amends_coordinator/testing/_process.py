"""One life of a coordinator: everything that a crash takes away, and nothing that it leaves."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from amends_coordinator.api.service import CoordinatorService
from amends_coordinator.api.starting import Starter
from amends_coordinator.calls.spans import Spans
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.runtime.admission import Admission
from amends_coordinator.runtime.keeper import Keeper
from amends_coordinator.runtime.metrics import Metrics
from amends_coordinator.runtime.registry import Registry
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.store.interface import Filter
from amends_coordinator.store.memory import MemoryStore
from amends_coordinator.testing._network import LocalCaller
from amends_coordinator.testing._time import JumpingTime, JumpingTimers

MAX_LIVE_SAGAS: Final = 100_000
"""Sagas in memory: twice the daemon's default, so that a test of many is not refused."""

RETENTION: Final = float("inf")
"""Seconds after which ended sagas are removed: a test may look at any of its sagas, whenever that is."""

HALF: Final = 0.5
"""What chance says of every backoff: the mean of full jitter, so that a test runs the same way each time."""


class _Admission(Admission):
    """Holds the clock while a definition is looked at: threads do it, which take real time."""

    def __init__(self, callers: Mapping[str, LocalCaller], timers: JumpingTimers, time: JumpingTime) -> None:
        super().__init__(callers, timers)
        self._time = time

    async def admit(self, definition: Definition) -> Definition:
        """See Admission.admit."""
        self._time.call_begins()
        try:
            return await super().admit(definition)
        finally:
            self._time.call_ends()


class Process:
    """The parts of a running coordinator, put together as the daemon does, on a store in memory."""

    def __init__(
        self,
        store: MemoryStore,
        callers: Mapping[str, LocalCaller],
        timers: JumpingTimers,
        time: JumpingTime,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Puts a coordinator together and has it recover what is in the store.

        Args:
            store: what its predecessors left.
            callers: how participants are called.
            timers: its timers.
            time: the clock that they run by.
            failed: told of an error that must not be: of ours, not of a handler.
        """
        self._callers = callers
        self.timers = timers
        self.metrics = Metrics()
        admission = _Admission(callers, timers, time)
        self.runtime = Runtime(
            store, callers, timers, self.metrics, max_live_sagas=MAX_LIVE_SAGAS, chance=lambda: HALF
        )
        self._keeper = Keeper(self.runtime, self.metrics, retention=RETENTION)
        registry = Registry(store, admission, timers)
        self._starter = Starter(self.runtime, admission, registry, Spans())
        self.service = CoordinatorService(self.runtime, registry, self._starter)
        self._tasks = [own(self.runtime.journal.run(), failed), own(self._keeper.run(), failed)]

    async def until_recovered(self) -> None:
        """Waits until every unfinished saga of the store goes on."""
        await self._keeper.recovered.wait()

    async def wake_all(self) -> None:
        """Has sagas that sleep in the store come back into memory, where their timers are."""
        unfinished = Filter(states=[state for state in SagaState if not state.ended])
        for row in await self.runtime.store.list_rows(unfinished, None, MAX_LIVE_SAGAS):
            await self.runtime.load(row.id)

    def hold(self) -> None:
        """Has no more calls leave."""
        for caller in self._callers.values():
            caller.hold()

    async def until_quiet(self) -> None:
        """Waits for the replies to the calls that left."""
        for caller in self._callers.values():
            await caller.until_quiet()

    def kill(self) -> None:
        """Ends at once. What the journal has not written is lost, and replies are heard by nobody."""
        for caller in self._callers.values():
            caller.fall_silent()
        for task in self._tasks:
            task.cancel()

    async def bury(self) -> None:
        """Waits until nothing of a killed coordinator runs any more."""
        await self._starter.close()
        await until_ended(*self._tasks)


def own(work: Coroutine[Any, Any, None], failed: Callable[[BaseException], None]) -> asyncio.Task[None]:
    """Starts a task that ends only when it is cancelled; ``failed`` is told of anything else at once."""

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            failed(error)

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    return task


async def until_ended(*tasks: asyncio.Task[None]) -> None:
    """Waits for tasks that were cancelled. Raises what else they ended with."""
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
