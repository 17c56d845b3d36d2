"""A tracker on a real bus and a real store, with a clock that tests set."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import Bus, BusUnavailableError, Message
from amends._bus.opening import bus_at
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.store import SqliteStore
from amends_coordinator.store.interface import Filter
from amends_coordinator.tracker.tracker import Tracker
from tests.tracker.shop import NOW, Story, announce

PATIENCE_S = 30.0
STALL_AFTER = 300.0
RETENTION = 1_000.0


class ReadBus:
    """A bus that tells how far it was read, and can be away."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.away = False
        self.followed = False  # whether all there was has been read, and more is waited for
        self.taken = 0  # the sequence number up to which the reader has come back for more
        self.news = asyncio.Condition()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def announced(self) -> Mapping[str, bytes]:
        if self.away:
            raise BusUnavailableError("the bus is away")
        return await self._bus.announced()

    async def read(self, after: int, *, follow: bool) -> AsyncIterator[Sequence[tuple[int, Message]]]:
        if self.away:
            raise BusUnavailableError("the bus is away")
        async with self.news:
            self.followed = follow
            self.news.notify_all()
        async for page in self._bus.read(after, follow=follow):
            yield page
            async with self.news:
                self.taken = page[-1][0]
                self.news.notify_all()
            if self.away:
                raise BusUnavailableError("the bus went away")


class World:
    """A bus, a store, and a tracker that follows one into the other."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.time = NOW + 100.0
        self.url = url or f"sqlite:///{folder}/bus.db"

    async def open(self) -> None:
        self.bus: Any = ReadBus(bus_at(self.url))
        await self.bus.open()
        await self.start()

    async def start(self) -> None:
        """Begins to follow, as after a restart, and reads what there is, unless the bus is away."""
        self.bus.followed = self.bus.away
        self.store = await SqliteStore.open(self.folder / "amends.db")
        self.tracker = Tracker(
            self.store.tracking, self.bus, lambda: self.time, stall_after=STALL_AFTER, retention=RETENTION
        )
        self._work = asyncio.create_task(self.tracker.run())
        async with asyncio.timeout(PATIENCE_S), self.bus.news:
            await self.bus.news.wait_for(lambda: self.bus.followed)

    async def stop(self) -> None:
        """Stops following; the bus stays."""
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work
        await self.store.close()

    async def close(self) -> None:
        await self.stop()
        await self.bus.close()

    async def publish(self, *messages: Message) -> None:
        """Publishes messages and waits until the tracker has taken them in."""
        receipts = await self.bus.publish(messages)
        await self.until_taken(max(receipt.sequence for receipt in receipts))

    async def until_taken(self, sequence: int) -> None:
        async with asyncio.timeout(PATIENCE_S), self.bus.news:
            await self.bus.news.wait_for(lambda: self.bus.taken >= sequence)

    async def until_ended(self, saga_id: str) -> None:
        await self._until(saga_id, "saga_completed", "saga_compensated")

    async def until_stalled(self, saga_id: str) -> None:
        await self._until(saga_id, "saga_stalled")

    async def _until(self, saga_id: str, *kinds: str) -> None:
        """Waits until the history of a saga ends with one of these; after every page there may be more."""
        async with asyncio.timeout(PATIENCE_S), self.bus.news:
            while not (told := await self.kinds(saga_id)) or told[-1] not in kinds:
                await self.bus.news.wait()

    async def tell(self, story: Story) -> None:
        await self.publish(*story.messages())

    async def get(self, saga_id: str = "order-1") -> saga_pb2.Saga:
        saga = await self.tracker.get(saga_id)
        assert saga is not None
        return saga

    async def state(self, saga_id: str = "order-1") -> str:
        return saga_pb2.Saga.State.Name((await self.get(saga_id)).state)

    async def history(self, saga_id: str = "order-1") -> list[event_pb2.Event]:
        return [event async for event in self.tracker.watch(saga_id, 0, live=False)]

    async def kinds(self, saga_id: str = "order-1") -> list[str | None]:
        return [event.WhichOneof("fact") for event in await self.history(saga_id)]

    async def listed(self, **condition: Any) -> list[str]:
        return [row.id for row in await self.tracker.list_rows(Filter(**condition), None, 100)]


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[World]:
    """A world in which nobody has announced anything yet."""
    world = World(tmp_path)
    await world.open()
    yield world
    await world.close()


@pytest.fixture
async def world(quiet: World) -> World:
    """A world in which the services of the shop have announced themselves."""
    await announce(quiet.bus)
    return quiet


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "amends.db")
    yield store
    await store.close()
