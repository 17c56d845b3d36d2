"""Everything behind a LocalCoordinator while it is open."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

from amends_coordinator.core.saga import Saga
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.store.memory import MemoryStore
from amends_coordinator.testing._called import Called
from amends_coordinator.testing._channel import LocalChannel
from amends_coordinator.testing._errors import StuckError
from amends_coordinator.testing._faults import Faults
from amends_coordinator.testing._network import LocalCaller, Network
from amends_coordinator.testing._process import Process, own, until_ended
from amends_coordinator.testing._time import JumpingTime

STUCK_SHOWN: Final = 3
"""Sagas that the message of a StuckError describes: where one is stuck, others are for the same reason."""


class World:
    """Participants, the network to them, time, a store, and the coordinator that lives at the moment."""

    def __init__(self, participants: Mapping[str, Called], faults: Faults) -> None:
        """Begins in the running event loop; the participants must be open."""
        self._store = MemoryStore()
        self.time = JumpingTime(self._progress, self._no_end_in_sight)
        self.channel = LocalChannel(self.time)
        self._network = Network(participants, faults, self.time, self.crash)
        self._process = self._begin()
        self._clock = own(self.time.run(), self.channel.fail)
        self._closing = False

    @classmethod
    async def open(cls, participants: Mapping[str, Called], faults: Faults, stack: AsyncExitStack) -> "World":
        """Opens the participants and begins; the stack ends everything, in reverse.

        Raises:
            UsageError: a participant is open already.
            StoreError: the store of a participant cannot be used.
        """
        for participant in participants.values():
            await stack.enter_async_context(participant)
        world = cls(participants, faults)
        stack.push_async_callback(world._close)
        return world

    async def crash(self) -> None:
        """Kills the coordinator and starts the next one, which recovers from the store."""
        if self._closing:
            return
        old, self._process = self._process, self._replace()
        await old.bury()
        await self._process.until_recovered()

    async def advance(self, seconds: float) -> None:
        """Lets time pass."""
        await self._process.wake_all()
        await self.time.advance(seconds)

    def _replace(self) -> Process:
        self._process.kill()
        self.channel.disconnect("it crashed, as arranged")
        process = self._begin()
        self.time.drop(self._process.timers)
        return process

    def _begin(self) -> Process:
        timers = self.time.new_timers()
        callers = {name: LocalCaller(self._network, name, timers) for name in self._network.participants}
        process = Process(self._store, callers, timers, self.time, self.channel.fail)
        self.channel.connect(process.service)
        return process

    async def _close(self) -> None:
        self._closing = True
        self._clock.cancel()
        # What a participant is at is finished, so that no test leaves half of something behind.
        self._process.hold()
        self._network.lose_travelling()
        await self._process.until_quiet()
        self._process.kill()
        await self.channel.close()
        await self._network.close()
        self.time.drop(self._process.timers)
        await self._process.bury()
        await until_ended(self._clock)

    # The end that does not come

    def _progress(self) -> object:
        metrics = self._process.metrics
        return self._process, metrics.started, sum(metrics.ended.values())

    def _no_end_in_sight(self) -> None:
        stuck = [
            live.saga for live in self._process.runtime.lives() if live.saga.state is not SagaState.PARKED
        ]
        shown = "; ".join(map(_describe, stuck[:STUCK_SHOWN]))
        self.channel.fail(
            StuckError(f"no saga has ended for a very long time, and {len(stuck)} go on: {shown}")
        )


def _describe(saga: Saga) -> str:
    steps = []
    for run, step in zip(saga.runs, saga.definition.steps, strict=True):
        if run.direction is not None:
            failure = run.last_failure
            why = "pending" if failure is None else f"{failure.message} (attempt {failure.attempt})"
            steps.append(f"step {step.name!r} is {run.state.name}, {why}")
    return f"saga {saga.id!r} is {saga.state.name}: {', '.join(steps)}"
