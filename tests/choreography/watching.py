"""Watches the events on a bus, so that a test can wait for what it expects instead of for a time."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from amends._bus.interface import Bus, Message
from amends._bus.opening import bus_at
from amends.v1 import choreography_pb2
from tests.promises.choreography import Event, read_event

PATIENCE_S: Final = 20.0
"""How long anything may take before a test has failed, on a machine that is busy with others."""

SETTLED: Final = frozenset({"rejected", "compensated", "buried"})


class Watch:
    """What was seen on a bus until now."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.events: dict[str, list[Event]] = defaultdict(list)
        """By saga, in the bus's order."""
        self._more = asyncio.Event()

    def told(self, saga: str) -> dict[str, set[str]]:
        """The outcomes of steps that events tell of, by service and step."""
        found: dict[str, set[str]] = defaultdict(set)
        for event in self.events[saga]:
            if event.step and event.outcome:
                found[f"{event.source}.{event.step}"].add(event.outcome)
        return dict(found)

    def letters(self, saga: str = "") -> list[choreography_pb2.DeadLetter]:
        """The dead letters about a saga's events; without one, about events that name none."""
        return [
            choreography_pb2.DeadLetter.FromString(message.data)
            for message in self.messages
            if message.subject == "amends.DeadLetter" and message.key == saga
        ]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds of what was seen."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            seen = {saga: self.told(saga) for saga in self.events}
            raise AssertionError(f"it never came about; seen: {seen}") from None

    async def until_told(self, saga: str, *steps: str) -> None:
        """Waits until events tell of steps, each given as `service.step outcome`."""
        expected = [step.split() for step in steps]
        await self.until(lambda: all(outcome in self.told(saga).get(step, ()) for step, outcome in expected))

    async def until_dead(self, saga: str = "", count: int = 1) -> None:
        """Waits until so many dead letters say that events of a saga were given up."""
        await self.until(lambda: len(self.letters(saga)) >= count)

    async def follow(self, bus: Bus) -> None:
        async for page in bus.read(0, follow=True):
            for _sequence, message in page:
                self.messages.append(message)
                self.events[message.key].append(read_event(message))
            self._more.set()


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[Watch]:
    """Watches a bus from its first event on."""
    bus = bus_at(url)
    await bus.open()
    watch = Watch()
    following = asyncio.create_task(watch.follow(bus))
    try:
        yield watch
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await bus.close()
