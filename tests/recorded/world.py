"""A coordinator on a store file, between participants that say what they are told to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.core.outcomes import Compensated, Outcome, Succeeded
from amends_coordinator.core.stimuli import Stimulus
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Direction
from amends_coordinator.runtime.keeper import SLEEP_HORIZON, Keeper
from amends_coordinator.runtime.live import Live, Waiter
from amends_coordinator.runtime.metrics import Metrics
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.store import SqliteStore
from amends_coordinator.timers import Timers


class Scripted:
    """A participant. See calls.caller.Caller."""

    in_flight = waiting = 0

    def __init__(self) -> None:
        self.says: dict[str, Mapping[str, Sequence[Outcome | None]]] = {}  # by saga, then as in stories.Story
        self.held: set[Attempt] = set()

    def submit(self, attempt: Attempt) -> None:
        """Answers, unless it is told to leave the call unanswered."""
        attempt.sent = True
        forward = attempt.direction is Direction.FORWARD
        name = attempt.step.name if forward else f"undo {attempt.step.name}"
        willing: Outcome = Succeeded() if forward else Compensated()
        answers = self.says.get(attempt.saga.id, {}).get(name, [willing])
        answer = answers[min(attempt.number, len(answers)) - 1]
        if answer is None:
            self.held.add(attempt)
        else:
            asyncio.get_running_loop().call_soon(attempt.finish, answer)

    def withdraw(self, attempt: Attempt) -> None:
        """Every call leaves at once, so none can be withdrawn."""


class World:
    """A running coordinator."""

    def __init__(self, store: SqliteStore, now: Callable[[], float]) -> None:
        self.store = store
        self.shop = Scripted()
        self.timers = Timers(asyncio.get_running_loop(), now)
        metrics = Metrics()
        participants: Mapping[str, Any] = {"shop": self.shop}
        self.runtime = Runtime(
            store, participants, self.timers, metrics, max_live_sagas=1_000, chance=lambda: 0.5
        )
        self.keeper = Keeper(self.runtime, metrics, retention=36_500 * 86_400.0)

    async def wish(self, saga_id: str, stimulus: Stimulus) -> None:
        """Makes a wish, and waits until it is granted durably."""
        live, _ = await self.runtime.load(saga_id)
        assert live is not None, f"{saga_id} has ended"
        granted: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.runtime.wish(live, stimulus, Waiter(granted.set_result, granted.set_exception))
        await granted

    async def wait_for_rest(self, saga_id: str) -> SagaState:
        """Waits until nothing happens to a saga any more by itself for a while."""
        live, saga = await self.runtime.load(saga_id)
        if live is not None:
            news = asyncio.Event()
            live.watchers.append(news.set)
            while self.runtime.live(saga_id) is live and not self._rests(live):
                news.clear()
                await news.wait()
            live.watchers.remove(news.set)
        return saga.state

    def _rests(self, live: Live) -> bool:
        when = live.saga.wake_time()
        due = when is not None and when < self.timers.now() + SLEEP_HORIZON
        awaited = self.shop.held.issuperset(live.attempts.values())
        return live.settled and not due and awaited


@asynccontextmanager
async def world(path: Path, now: Callable[[], float]) -> AsyncIterator[World]:
    """Runs a coordinator on a file, and kills it in the end: what is in flight stays unanswered."""
    store = await SqliteStore.open(path)
    running = World(store, now)
    tasks = [asyncio.create_task(running.runtime.journal.run()), asyncio.create_task(running.keeper.run())]
    try:
        yield running
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        running.timers.close()
        await store.close()
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), f"the coordinator broke down: {ends}"
