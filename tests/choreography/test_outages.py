"""Services whose database, bus, or name fails them for a while, or for good."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import Settlement, Subscription, Verdict
from amends._choreography import consuming, membership, retrying
from amends._choreography.disposition import Disposition
from amends._fence import Ledger, opening
from amends.choreography import EventContext, EventService, Retry
from amends.errors import Fault, StartError
from tests.choreography.foreign import failed, placed
from tests.choreography.shop import OrderPlaced
from tests.choreography.stage import Stage
from tests.choreography.watching import watching

Logged = Callable[[str], asyncio.Event]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Sets an event when a line of the log holds some words."""
    handlers: list[logging.Handler] = []

    def wait_for(words: str) -> asyncio.Event:
        said, running = asyncio.Event(), asyncio.get_running_loop()

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if words in record.getMessage():
                    running.call_soon_threadsafe(said.set)

        handlers.append(Handler())
        logging.getLogger("amends").addHandler(handlers[-1])
        return said

    yield wait_for
    for handler in handlers:
        logging.getLogger("amends").removeHandler(handler)


async def test_what_comes_while_the_database_takes_nothing_is_left_with_the_bus(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr(consuming, "NAK_DELAY_S", 0.01)
    stage = sqlite_stage
    await stage.start("inventory")
    with closing(sqlite3.connect(stage.shop.store("inventory"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await stage.publish(placed("s"))
        await stage.settled["inventory"].until(1)
        other.execute("ROLLBACK")
    await stage.watch.until_told("s", "inventory.reserve succeeded")
    assert stage.settled["inventory"].verdicts[0] == ("s", Verdict.NAK)
    assert await stage.violations() == []


async def test_a_disk_that_is_full_counts_as_no_failure_of_an_event(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "NAK_DELAY_S", 0.01)
    full = [1] * 9

    def stall() -> None:
        if full:
            full.pop()
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
            raise error

    stage = sqlite_stage
    stage.shop.wishes.stalls = {"reserve": stall}
    await stage.start("inventory")
    await stage.publish(placed("s", "stall:reserve"))
    await stage.watch.until_told("s", "inventory.reserve succeeded")
    assert await stage.violations() == []


async def test_events_that_wait_outlast_a_database_that_takes_nothing(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr(retrying, "BLOCKED_S", 0.01)
    monkeypatch.setattr(retrying, "POLL_S", 0.01)
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0.01)
    stage = sqlite_stage
    stage.shop.retry = Retry(initial_backoff=0.05)
    await stage.start("inventory")
    await stage.publish(placed("s", "fail:reserve:1"))
    await stage.settled["inventory"].until(1)
    with closing(sqlite3.connect(stage.shop.store("inventory"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with asyncio.timeout(20):
            await logged("the store failed").wait()
        other.execute("ROLLBACK")
    await stage.watch.until_told("s", "inventory.reserve succeeded")
    assert await stage.violations() == []


async def test_a_service_that_stops_tells_the_bus_all_it_has_to_tell(sqlite_stage: Stage) -> None:
    stage, reached, let_go = sqlite_stage, asyncio.Event(), asyncio.Event()
    told: list[Settlement] = []
    service = stage.services["inventory"] = stage.shop.make("inventory")
    subscribe = service._bus.subscribe

    async def subscribe_slowly(consumer: str, subjects: Collection[str]) -> Subscription:
        subscription = await subscribe(consumer, subjects)
        settle = subscription.settle

        async def settle_slowly(settlements: Sequence[Settlement]) -> None:
            if settlements:
                reached.set()
                await let_go.wait()
            await settle(settlements)
            told.extend(settlements)

        subscription.settle = settle_slowly  # type: ignore[method-assign]
        return subscription

    service._bus.subscribe = subscribe_slowly  # type: ignore[method-assign]
    await service.start()
    await stage.publish(placed("s"))
    await reached.wait()
    stopping = asyncio.create_task(stage.stop("inventory"))
    for _ in range(10):
        await asyncio.sleep(0)
    let_go.set()
    await stopping
    assert [each.verdict for each in told] == [Verdict.ACK]


async def test_a_service_that_is_given_no_time_leaves_its_events_to_the_next(sqlite_stage: Stage) -> None:
    stage, reached, let_go = sqlite_stage, asyncio.Event(), asyncio.Event()

    def make(waits: bool) -> EventService:
        service = EventService("slow", bus=stage.shop.bus, store=f"sqlite:///{stage.shop.folder}/slow.db")

        @service.on(OrderPlaced, effect_free=True)
        async def take(order: OrderPlaced, ctx: EventContext) -> None:
            if waits:
                reached.set()
                await let_go.wait()

        return service

    first = make(waits=True)
    await first.start()
    await stage.publish(placed("s"))
    await reached.wait()
    stopping = asyncio.create_task(first.stop(0.0))
    await asyncio.sleep(0)
    let_go.set()
    await stopping
    async with make(waits=False):
        await stage.watch.until_told("s", "slow.take succeeded")


async def test_an_event_that_another_process_has_dealt_with_meanwhile_is_not_put_aside(
    sqlite_stage: Stage,
) -> None:
    service = sqlite_stage.shop.make("inventory")
    await service.open()
    try:
        event = placed("s")
        assert await service.handle(event) is Disposition.DONE
        engine = service._opened()

        def put_aside(ledger: Ledger) -> Disposition:
            ledger.begin()
            answer = engine._reactor.put_aside(ledger, event)
            ledger.commit()
            return answer

        assert await engine.read(put_aside) is Disposition.DUPLICATE
    finally:
        await service.stop()


async def test_a_fault_of_the_database_is_told_to_who_hands_an_event_in(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0.01)
    service = sqlite_stage.shop.make("inventory")
    await service.open()
    try:
        with closing(sqlite3.connect(service._path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Fault) as told:
                await service.handle(failed("s"))
        assert told.value.reason == "STORE_UNAVAILABLE"
    finally:
        await service.stop()


async def test_a_service_whose_name_another_has_taken_ends_and_says_so(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store was moved, say, and both copies run."""
    monkeypatch.setattr(membership, "RENEW_S", 0.01)
    stage = sqlite_stage
    await stage.start("inventory")
    with closing(sqlite3.connect(stage.shop.bus.removeprefix("sqlite:///"))) as bus:
        bus.execute("UPDATE claims SET owner = 'another'")
        bus.commit()
    with pytest.raises(StartError, match="the name 'inventory' is used by a service with another store"):
        async with asyncio.timeout(20):
            await stage.services["inventory"]._opened().ended()


async def test_an_async_handler_that_breaks_its_transaction_stops_nobody_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bus.db'}"
    service = EventService(
        "slow",
        bus=url,
        store=f"sqlite:///{tmp_path / 'slow.db'}",
        schema="CREATE TABLE IF NOT EXISTS never (it INTEGER CHECK (it = 0));",
        retry=Retry(max_attempts=2, initial_backoff=0.01),
    )

    @service.on(OrderPlaced, effect_free=True)
    async def take(order: OrderPlaced, ctx: EventContext) -> None:
        if order.wishes:
            await ctx.db.execute("INSERT OR ROLLBACK INTO never VALUES (1)")

    async with watching(url) as watch, service:
        receipts: list[Any] = await service._bus.publish([placed("bad", "break"), placed("good")])
        assert len(receipts) == 2
        await watch.until_told("good", "slow.take succeeded")
        await watch.until_dead("bad")
    assert "broke the transaction, 2 times" in watch.letters("bad")[0].message
