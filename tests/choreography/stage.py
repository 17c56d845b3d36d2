"""Where a case is played: a bus, services in this process or in processes of their own, and a watch."""

import asyncio
import json
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amends._bus.interface import Bus, Message, Receipt, Settlement, Subscription, Verdict
from amends._bus.opening import bus_at
from amends.choreography import Begun, EventService
from tests.choreography.child import Script
from tests.choreography.shop import SERVICES, Order, Shop, place_of
from tests.choreography.watching import PATIENCE_S, Watch, watching
from tests.promises.choreography import violations_of
from tests.promises.ledgers import rows

ROOT = Path(__file__).parents[2]


class Child:
    """A service in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def says(self, *parts: str) -> None:
        """Waits for a line that begins with one of these, if none has come yet."""
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not any(line.startswith(parts) for line in self.said):
                    line = (await self.process.stdout.readline()).decode()
                    assert line, f"it ended without a word of {parts}: {self.said}"
                    self.said.append(line.rstrip())
        except TimeoutError:
            raise AssertionError(f"it never said {parts}: {self.said}") from None

    def go(self) -> None:
        """Lets it go on from where it waits."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def is_frozen(self) -> bool:
        """Whether it has stopped; where nobody can tell, it is believed."""
        status = Path(f"/proc/{self.process.pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "T"

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Ends it as a power cut would."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self._gone()

    async def stop(self) -> int:
        """Asks it to end, and returns its exit status."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        return await self._gone()

    async def _gone(self) -> int:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            rest = await self.process.stdout.read()
            self.said += rest.decode().splitlines()
            return await self.process.wait()


def _is_locked(file: Path) -> bool:
    """Whether somebody is writing to a database at the moment."""
    if not file.exists():
        return False
    with closing(sqlite3.connect(file, timeout=0.0, isolation_level=None)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        db.execute("ROLLBACK")
        return False


class Settled:
    """What a service of this process has told its bus about events, and a way to wait for more."""

    def __init__(self) -> None:
        self.verdicts: list[tuple[str, Verdict]] = []
        """By the sagas of the events, in order."""
        self._more = asyncio.Event()

    async def until(self, count: int) -> None:
        """Waits until so many events are settled."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.verdicts) < count:
                self._more.clear()
                await self._more.wait()

    def note_those_of(self, bus: Bus) -> None:
        """Notes what is settled on a bus from now on."""
        subscribe = bus.subscribe

        async def subscribe_noting(consumer: str, subjects: Collection[str]) -> Subscription:
            subscription = await subscribe(consumer, subjects)
            settle = subscription.settle

            async def settle_noting(settlements: Sequence[Settlement]) -> None:
                await settle(settlements)
                self.verdicts += [(each.delivery.message.key, each.verdict) for each in settlements]
                self._more.set()

            subscription.settle = settle_noting  # type: ignore[method-assign]
            return subscription

        bus.subscribe = subscribe_noting  # type: ignore[method-assign]


class Stage:
    """One shop on one bus."""

    def __init__(self, shop: Shop, watch: Watch) -> None:
        self.shop = shop
        self.watch = watch
        self.settled: dict[str, Settled] = defaultdict(Settled)
        self.services: dict[str, EventService] = {}
        self.children: list[Child] = []

    async def start(self, *names: str) -> None:
        """Starts services in this process; all of them where none is named."""
        for name in names or SERVICES:
            assert name not in self.services, f"{name} runs"
            self.services[name] = self.shop.make(name)
            self.settled[name].note_those_of(self.services[name]._bus)
        await asyncio.gather(*(self.services[name].start() for name in names or SERVICES))

    async def start_others(self, *left_out: str) -> None:
        """Starts all services but these."""
        await self.start(*(name for name in SERVICES if name not in left_out))

    async def stop(self, *names: str) -> None:
        """Stops services of this process; all of them where none is named."""
        for name in names or tuple(self.services):
            await self.services.pop(name).stop()

    async def child(self, name: str, *, point: str = "", **script: Any) -> Child:
        """Starts a service in a process of its own, and waits until it listens."""
        whole = Script(name=name, bus=self.shop.bus, folder=str(self.shop.folder), point=point, **script)
        command = [sys.executable, "-m", "tests.choreography.child", json.dumps(asdict(whole))]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=STDOUT, cwd=ROOT
        )
        child = Child(process)
        self.children.append(child)
        await child.says(f"{name}: listening")
        return child

    async def freeze(self, child: Child, name: str) -> None:
        """Stops a service of another process where it holds no lock that everybody would wait for."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                child.freeze()
                while not child.is_frozen():  # noqa: ASYNC110 - a signal tells nobody that it has come
                    await asyncio.sleep(0)
                if not any(map(_is_locked, (self.shop.folder / f"{name}.db", self.shop.folder / "bus.db"))):
                    return
                child.thaw()
                await asyncio.sleep(0)

    async def place(self, saga: str, *wishes: str) -> Begun:
        """Begins a saga."""
        orders = self.services["orders"]
        return await orders.begin(place_of(orders), Order(list(wishes)), saga_id=saga)

    async def place_both(self, *wishes: str) -> None:
        """Begins two sagas: "good", which is to complete, and "bad", which shipping turns down."""
        await self.place("good", *wishes)
        await self.place("bad", "reject:ship", *wishes)

    async def both_end(self) -> None:
        """Waits until they have ended as they were to."""
        await self.completed("good")
        await self.turned_back("bad", "shipping")

    async def publish(self, *messages: Message) -> list[int]:
        """Publishes as somebody who is none of the services; returns the places on the bus."""
        bus = bus_at(self.shop.bus)
        await bus.open()
        try:
            receipts = await bus.publish(messages)
        finally:
            await bus.close()
        assert all(isinstance(each, Receipt) for each in receipts), receipts
        return [each.sequence for each in receipts if isinstance(each, Receipt)]

    async def completed(self, saga: str) -> None:
        """Waits until a saga has completed."""
        await self.watch.until_told(saga, "orders.close succeeded")

    async def turned_back(self, saga: str, by: str) -> None:
        """Waits until everything is undone of a saga that one service turned down."""
        before = {"inventory": 1, "payments": 2, "shipping": 3}[by]
        steps = ["orders.place", "inventory.reserve", "payments.charge"][:before]
        await self.watch.until_told(saga, *(f"{step} compensated" for step in steps))

    def ask(self, name: str, query: str) -> list[tuple[Any, ...]]:
        """Asks the database of a service."""
        return rows(self.shop.store(name), query)

    def fences(self, saga: str) -> dict[str, str]:
        """The states of a saga's fences, by step."""
        query = f"SELECT step, state FROM amends_fence WHERE saga_id = '{saga}'"
        return dict(row for name in self.shop.stores for row in self.ask(name, query))

    async def violations(self) -> list[str]:
        """Ends everything, and judges what is left."""
        await self.end()
        bus = bus_at(self.shop.bus)
        await bus.open()
        try:
            return await violations_of(bus, self.shop.stores)
        finally:
            await bus.close()

    async def end(self) -> None:
        """Stops what still runs."""
        await self.stop()
        for child in self.children:
            if child.process.returncode is None:
                child.thaw()
                await child.stop()

    async def abandon(self) -> None:
        """Leaves nothing behind, however a test ended."""
        for child in self.children:
            await child.kill()
        for service in self.services.values():
            await service.stop(0.0)


@asynccontextmanager
async def staged(url: str, folder: Path, **shop: Any) -> AsyncIterator[Stage]:
    """Makes a stage; nothing is started."""
    async with watching(url) as watch:
        stage = Stage(Shop(bus=url, folder=folder, **shop), watch)
        try:
            yield stage
        finally:
            await stage.abandon()
