"""What happens after a time: backoff, retries, and what is forgotten."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from amends._choreography import queries, sweeping
from amends._choreography.disposition import Disposition
from amends._choreography.inbox import Inbox
from amends._choreography.reacting import connection_of
from amends._choreography.retrying import backoff_of
from amends._choreography.service import schema_of_services
from amends._choreography.sweeping import SENT_RETENTION_S, sweep, sweep_for_ever
from amends._fence import SqliteFence
from amends._transactions.gatherer import Gatherer
from amends.choreography import EventContext, EventService, Pending, Retry
from amends.errors import StartError
from amends.testing import EventTester
from tests.promises.ledgers import rows


def bounds(retry: Retry, failures: int) -> list[float | None]:
    """The greatest wait after each number of failures."""
    backoff = backoff_of(retry, chance=lambda _, bound: bound)
    return [backoff(number) for number in range(1, failures + 1)]


def test_waits_grow_up_to_a_bound_and_end() -> None:
    retry = Retry(max_attempts=6, initial_backoff=1.0, backoff_multiplier=3.0, max_backoff=10.0)
    assert bounds(retry, 6) == [1.0, 3.0, 9.0, 10.0, 10.0, None]


def test_waits_have_defaults_that_ride_out_some_minutes() -> None:
    waits = bounds(Retry(), 20)
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert (waits[18], waits[19]) == (30.0, None)


def test_a_first_wait_beyond_the_default_bound_is_its_own_bound() -> None:
    assert bounds(Retry(initial_backoff=60.0), 3) == [60.0, 60.0, 60.0]


def test_waits_are_bounded_however_many_there_were() -> None:
    retry = Retry(max_attempts=1_000_000, backoff_multiplier=100.0)
    assert backoff_of(retry, chance=lambda _, bound: bound)(900_000) == 30.0


def test_waits_are_drawn_from_nothing_on() -> None:
    drawn = []
    backoff_of(Retry(), chance=lambda low, high: drawn.append((low, high)) or low)(3)
    assert drawn == [(0.0, 0.4)]


# Retries


@dataclass
class Placed:
    pieces: int


@pytest.mark.parametrize("trouble", [OSError, Pending])
async def test_of_two_processes_that_know_an_event_is_due_one_tries_it_again(
    tmp_path: Path, trouble: type[Exception]
) -> None:
    tried = []

    def make() -> EventService:
        service = EventService(
            "stock", bus=f"sqlite:///{tmp_path}/bus.db", store=f"sqlite:///{tmp_path}/stock.db"
        )

        @service.on(Placed, effect_free=True)
        def reserve(placed: Placed, ctx: EventContext) -> None:
            tried.append(ctx.attempt)
            raise trouble

        return service

    async with EventTester(make()) as one, EventTester(make()) as other:
        assert (await one.deliver(Placed(1))).disposition == "waiting"
        due = await one._engine.read(lambda ledger: Inbox("stock").all_waiting(connection_of(ledger)))
        for tester, answer in ((one, Disposition.WAITING), (other, Disposition.DUPLICATE)):
            assert await tester._engine._retrier._retry(due) == [answer]
    assert len(tried) == 2


async def test_an_event_is_tried_again_by_itself_when_its_time_has_come(tmp_path: Path) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    service = EventService(
        "stock",
        bus=f"sqlite:///{tmp_path}/bus.db",
        store=f"sqlite:///{tmp_path}/stock.db",
        retry=Retry(initial_backoff=0.001),
    )

    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        if ctx.attempt < 3:
            raise OSError
        loop.call_soon_threadsafe(done.set)

    async with EventTester(service) as tester:
        await tester.deliver(Placed(1))
    async with service:
        async with asyncio.timeout(20):
            await done.wait()


@pytest.mark.parametrize("part", ["_relay", "_retrier"])
async def test_what_is_woken_at_the_moment_it_is_ended_ends(tmp_path: Path, part: str) -> None:
    """A service would wait for it for ever."""
    service = EventService(
        "stock", bus=f"sqlite:///{tmp_path}/bus.db", store=f"sqlite:///{tmp_path}/stock.db"
    )
    async with service:
        one = getattr(service._engine, part)
        for _ in range(20):
            task = asyncio.ensure_future(one.run())
            async with asyncio.timeout(20):
                while len(one._woken._waiters) < 2:  # noqa: ASYNC110 - nobody says that both wait
                    await asyncio.sleep(0)
            one.wake()
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)
            assert done
            assert task.cancelled()


async def test_a_retention_shorter_than_what_a_bus_may_deliver_again_is_refused_at_start(
    tmp_path: Path,
) -> None:
    service = EventService(
        "stock",
        bus=f"sqlite:///{tmp_path}/bus.db",
        store=f"sqlite:///{tmp_path}/stock.db",
        retention=timedelta(days=13),
    )
    with pytest.raises(StartError, match=r"retention is 13 days.*set it to at least 14 days"):
        await service.start()
    assert repr(service).endswith("closed>")


# What is forgotten

NOW = 100 * 24 * 3600.0
RETENTION = timedelta(days=30)


@pytest.fixture
async def gatherer(tmp_path: Path) -> AsyncIterator[Gatherer]:
    fence = SqliteFence(tmp_path / "store.db", schema_of_services())
    await fence.open()
    made = Gatherer(fence)
    yield made
    await made.close()
    await fence.close()


def fill(path: Path, age: float) -> None:
    """Puts rows of this age into all tables, of every state."""
    at = NOW - age
    with closing(sqlite3.connect(path)) as db:
        for state in ("DONE", "WAITING", "PARKED", "DEAD"):
            db.execute(
                "INSERT INTO amends_inbox (consumer, event_id, saga_id, state, updated_at)"
                " VALUES ('s', ?1, ?1, ?2, ?3)",
                (f"{state}-{age}", state, int(at)),
            )
        for name, sent in (("sent", at), ("unsent", None)):
            db.execute(
                "INSERT INTO amends_outbox"
                " (event_id, saga_id, partition, subject, headers, data, created_at, sent_at)"
                " VALUES (?, 'x', 0, 'y', '{}', x'', ?, ?)",
                (f"{name}-{age}", at, sent),
            )
        db.commit()


async def test_only_what_nobody_can_ask_for_any_more_is_forgotten(gatherer: Gatherer, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    old, young = RETENTION.total_seconds() + 60, SENT_RETENTION_S + 60
    fill(store, old)
    fill(store, young)
    assert await sweep(gatherer, NOW, RETENTION) == 2
    left = {event for (event,) in rows(store, "SELECT event_id FROM amends_inbox")}
    assert left == {f"{state}-{age}" for state in ("WAITING", "PARKED", "DEAD") for age in (old, young)} | {
        f"DONE-{young}"
    }
    left = {event for (event,) in rows(store, "SELECT event_id FROM amends_outbox")}
    assert left == {f"unsent-{old}", f"unsent-{young}"}
    assert await sweep(gatherer, NOW, RETENTION) == 0


def remember(path: Path, saga: str, state: str) -> None:
    """Puts an event of a saga in this state, an older one that is done, and a fence row; all of them old."""
    with closing(sqlite3.connect(path)) as db:
        for number, each in enumerate(("DONE", state)):
            db.execute(
                "INSERT INTO amends_inbox (consumer, event_id, saga_id, state, updated_at)"
                " VALUES ('s', ?, ?, ?, 1)",
                (f"{saga}/{number}", saga, each),
            )
        db.execute(
            "INSERT INTO amends_fence (saga_id, step, state, action, input_hash, answer, updated_at)"
            " VALUES (?, 'do', 'TRIED', 'do', x'', x'', 1)",
            (saga or "none",),
        )
        db.commit()


async def test_nothing_is_forgotten_of_a_saga_whose_events_are_still_open(
    gatherer: Gatherer, tmp_path: Path
) -> None:
    """What waits, or is replayed one day, must find what was done, and what came before."""
    store = tmp_path / "store.db"
    for state in ("WAITING", "PARKED", "DEAD", "DONE"):
        remember(store, state, state)
    await sweep(gatherer, NOW, RETENTION)
    fences = {saga for (saga,) in rows(store, "SELECT saga_id FROM amends_fence")}
    assert fences == {"WAITING", "PARKED", "DEAD"}
    done = {event for (event,) in rows(store, "SELECT event_id FROM amends_inbox WHERE state = 'DONE'")}
    assert done == {"WAITING/0", "PARKED/0", "DEAD/0"}


async def test_events_without_a_saga_are_forgotten_one_by_one(gatherer: Gatherer, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    remember(store, "", "DEAD")
    await sweep(gatherer, NOW, RETENTION)
    assert rows(store, "SELECT event_id FROM amends_inbox") == [("/1",)]
    assert rows(store, "SELECT saga_id FROM amends_fence") == []


@pytest.mark.parametrize("query", [queries.EXPIRE_FENCE, queries.EXPIRE_INBOX])
async def test_a_sweep_reads_nothing_but_what_is_old_or_open(
    gatherer: Gatherer, tmp_path: Path, query: str
) -> None:
    plan = [row[3] for row in rows(tmp_path / "store.db", f"EXPLAIN QUERY PLAN {query.replace('?', '1')}")]
    assert not [step for step in plan if step.startswith("SCAN") and "INDEX amends_inbox_open" not in step]


async def test_a_sweep_that_fails_leaves_no_transaction_open_and_is_tried_again(
    gatherer: Gatherer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slept = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        slept.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(sweeping.asyncio, "sleep", sleep)
    with closing(sqlite3.connect(tmp_path / "store.db")) as db:
        db.execute("DROP TABLE amends_outbox")
    sweeper = asyncio.create_task(sweep_for_ever(gatherer, RETENTION))
    async with asyncio.timeout(20):
        await slept.wait()
    sweeper.cancel()
    assert "old rows could not be removed" in caplog.text
    assert not await gatherer.between_batches(lambda ledger: ledger.db.in_transaction)
