"""Events that are dealt with together share a transaction, and nothing else."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from amends._bus.interface import Delivery, Message, Settlement, Subscription, Verdict
from amends._choreography import consuming
from amends._choreography.cloudevent import CloudEvent
from amends._fence import opening
from amends._payload import pack
from amends.choreography import EventContext, EventService, Rejected, Retry

ONCE = Retry(max_attempts=1)


@dataclass
class Went:
    n: int


@dataclass
class Named:
    file: str


def event(saga: str, n: int) -> Message:
    payload = pack(Went(n))
    return CloudEvent(
        id=str(n), source="test", type="Went", saga_id=saga, payload=payload, time=0.0
    ).to_message()


class Handed:
    """A bus that hands out what it is given, and notes what becomes of it."""

    url = "handed:"
    max_bytes = 1 << 20
    retention = 60.0

    def __init__(self, *batches: Sequence[Message]) -> None:
        self.batches = list(batches)
        self.settled: list[Settlement] = []
        self._more = asyncio.Event()
        self._sequence = 0

    async def subscribe(self, *_: object) -> Subscription:
        return self  # type: ignore[return-value]

    async def until_named(self) -> None: ...

    async def fetch(self, limit: int) -> Sequence[Delivery]:
        if not self.batches:
            await asyncio.Event().wait()
        found = []
        for message in self.batches.pop(0):
            self._sequence += 1
            found.append(Delivery(message=message, sequence=self._sequence, number=1, handle=None))
        return found

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        self.settled += settlements
        self._more.set()

    async def close(self) -> None: ...

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.settled) < count:
                self._more.clear()
                await self._more.wait()

    def verdicts(self) -> dict[str, Verdict]:
        return {each.delivery.message.id: each.verdict for each in self.settled}


async def consumed(service: EventService, bus: Handed, count: int) -> None:
    """Has a service deal with what a bus hands out, until so much is settled."""
    await service.open()
    engine = service._opened()
    consumer = consuming.Consumer(
        bus,  # type: ignore[arg-type]
        engine._reactor,
        engine._gatherer,
        in_thread=engine._in_thread,
        on_disposition=lambda _: None,
    )
    try:
        await consumer.join()
        running = asyncio.create_task(consumer.run())
        await bus.until(count)
        consumer.stop()
        await running
    finally:
        await service.stop()


@pytest.fixture
def service(tmp_path: Path) -> EventService:
    return EventService(
        "service",
        bus=f"sqlite:///{tmp_path}/bus.db",
        store=f"sqlite:///{tmp_path}/service.db",
        schema="CREATE TABLE IF NOT EXISTS seen (saga TEXT, n INTEGER CHECK (n <> 13));",
        retry=ONCE,
    )


def states(tmp_path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(tmp_path / "service.db")) as db:
        return dict(db.execute("SELECT event_id, state FROM amends_inbox").fetchall())


def seen(tmp_path: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(tmp_path / "service.db")) as db:
        return db.execute("SELECT saga, n FROM seen ORDER BY rowid").fetchall()


@pytest.mark.parametrize("plain", [True, False])
async def test_a_text_that_is_no_unicode_is_dead_alone(
    service: EventService, tmp_path: Path, plain: bool
) -> None:
    def name(went: Went, ctx: EventContext) -> Named:
        if went.n == 2:
            raise Rejected("NO", "", {"why": "\ud800"})
        return Named(os.fsdecode(b"\xff.txt") if went.n == 1 else "a.txt")

    if plain:
        service.on(Went, effect_free=True, fails_as="Failed")(name)
    else:

        @service.on(Went, effect_free=True, fails_as="Failed")
        async def name_later(went: Went, ctx: EventContext) -> Named:
            return name(went, ctx)

    await consumed(service, Handed([event(f"s{n}", n) for n in range(4)]), 4)
    assert states(tmp_path) == {"test/0": "DONE", "test/1": "DEAD", "test/2": "DEAD", "test/3": "DONE"}


@pytest.mark.parametrize("plain", [True, False])
async def test_what_nobody_foresaw_is_dead_alone(
    service: EventService, tmp_path: Path, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def see(went: Went, ctx: EventContext) -> None: ...

    async def see_later(went: Went, ctx: EventContext) -> None: ...

    service.on(Went, effect_free=True)(see if plain else see_later)
    await service.open()
    reactor = service._opened()._reactor
    read = reactor._read
    await service.stop()

    def fail_for_one(message: Message) -> CloudEvent | None:
        if message.id == "test/1":
            raise RuntimeError("nobody foresaw this")
        return read(message)

    monkeypatch.setattr(type(reactor), "_read", lambda _self, message: fail_for_one(message))
    await consumed(service, Handed([event(f"s{n}", n) for n in range(3)]), 3)
    assert states(tmp_path) == {"test/0": "DONE", "test/1": "DEAD", "test/2": "DONE"}


@pytest.mark.parametrize("plain", [True, False])
async def test_what_comes_behind_an_event_that_broke_the_transaction_waits_behind_it(
    service: EventService, tmp_path: Path, plain: bool
) -> None:
    if plain:

        @service.on(Went, effect_free=True)
        def see(went: Went, ctx: EventContext) -> None:
            ctx.db.execute("INSERT OR ROLLBACK INTO seen VALUES (?, ?)", (ctx.saga_id, went.n))
    else:

        @service.on(Went, effect_free=True)
        async def see_later(went: Went, ctx: EventContext) -> None:
            await ctx.db.execute("INSERT OR ROLLBACK INTO seen VALUES (?, ?)", (ctx.saga_id, went.n))

    bus = Handed([event("one", 1), event("two", 13), event("two", 14), event("three", 3)])
    await consumed(service, bus, 4)
    assert seen(tmp_path) == [("one", 1), ("three", 3)]
    assert states(tmp_path) == {
        "test/1": "DONE",
        "test/13": "DEAD",
        "test/14": "PARKED",
        "test/3": "DONE",
    }


async def test_what_comes_behind_an_event_that_the_database_did_not_take_is_given_back_too(
    service: EventService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of it was handed out already; other sagas go on."""
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0.01)

    @service.on(Went, effect_free=True)
    def see(went: Went, ctx: EventContext) -> None:
        ctx.db.execute("INSERT INTO seen VALUES (?, ?)", (ctx.saga_id, went.n))

    bus = Handed([event("one", 1)], [event("one", 2), event("two", 3)], [event("one", 1)], [event("one", 2)])
    with closing(sqlite3.connect(tmp_path / "service.db", isolation_level=None)) as other:
        subscribe, settle = bus.subscribe, bus.settle

        async def lock_and_subscribe(*_: object) -> Subscription:
            other.execute("BEGIN IMMEDIATE")
            return await subscribe()

        async def settle_and_let_go(settlements: Sequence[Settlement]) -> None:
            if other.in_transaction:
                other.execute("ROLLBACK")
            await settle(settlements)

        bus.subscribe = lock_and_subscribe  # type: ignore[method-assign]
        bus.settle = settle_and_let_go  # type: ignore[method-assign]
        await consumed(service, bus, 5)
    assert [each.verdict for each in bus.settled][:2] == [Verdict.NAK, Verdict.NAK]
    # A reaction is one step of a saga: of the two events of saga one, the second to come is dead.
    assert states(tmp_path) == {"test/1": "DONE", "test/2": "DEAD", "test/3": "DONE"}


async def test_a_task_that_fails_has_nothing_more_taken_in(
    service: EventService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @service.on(Went, effect_free=True)
    def see(went: Went, ctx: EventContext) -> None: ...

    async def fail(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr("amends._choreography.membership.Membership.run", fail)
    async with service:
        with pytest.raises(RuntimeError, match="foresaw"):
            await service._opened().ended()
        engine = service._opened()
        assert engine._consuming is not None
        await asyncio.wait_for(asyncio.shield(engine._consuming), 30)
    assert "amends membership has failed, and the service takes no more events" in caplog.text
