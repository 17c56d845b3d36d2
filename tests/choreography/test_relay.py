"""What a relay does with an outbox, on a bus that answers as the test wishes."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import BusUnavailableError, Message, MessageRefusedError, Receipt
from amends._choreography import relay
from amends._choreography.leases import LEASE_S, Lease
from amends._choreography.outbox import PARTITIONS, enqueue
from amends._choreography.reacting import connection_of
from amends._choreography.relay import REFUSALS_MAX, Relay
from amends._choreography.service import schema_of_services
from amends._fence import Ledger, SqliteFence


@dataclass
class FakeBus:
    """Takes what is published, but for what it is told to refuse; keeps the rules of a key's order."""

    url: str = "fake://"
    away: bool = False
    refused: set[str] = field(default_factory=set)
    taken: list[str] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, messages: Sequence[Message]) -> list[Receipt | Exception]:
        self.more.set()
        held_up: set[str] = set()
        return [self._answer(message, held_up) for message in messages]

    def _answer(self, message: Message, held_up: set[str]) -> Receipt | Exception:
        if self.away:
            return BusUnavailableError("it is away")
        if message.id in self.refused:
            held_up.add(message.key)
            return MessageRefusedError("it is too large")
        if message.key in held_up:
            return BusUnavailableError("an earlier one was not taken")
        self.taken.append(message.id)
        return Receipt(stream="fake", sequence=len(self.taken), duplicate=message.id in self.taken[:-1])


@pytest.fixture
async def fence(tmp_path: Path) -> AsyncIterator[SqliteFence]:
    made = SqliteFence(tmp_path / "store.db", schema_of_services())
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    made = Clock()
    monkeypatch.setattr(relay.time, "time", lambda: made.now)
    return made


@dataclass
class Clock:
    now: float = 1_000.0


async def put(fence: SqliteFence, *events: str) -> None:
    """Puts events in, each named as its saga and a number."""

    def work(ledger: Ledger) -> None:
        messages = [
            Message(id=name, key=name[0], subject="x", headers={"ce-id": name}, data=b"") for name in events
        ]
        ledger.begin()
        enqueue(connection_of(ledger), messages, 0.0)
        ledger.commit()

    await fence.run(work)


async def ask(fence: SqliteFence, query: str) -> list[tuple[Any, ...]]:
    return await fence.run(lambda ledger: connection_of(ledger).execute(query).fetchall())


async def test_what_is_in_the_outbox_is_published_in_order_and_marked(
    fence: SqliteFence, clock: Clock
) -> None:
    bus = FakeBus()
    await put(fence, "a1", "b1", "a2")
    assert await Relay(bus, fence.run).publish_some()  # type: ignore[arg-type]
    assert bus.taken == ["a1", "b1", "a2"]
    marked = "SELECT event_id, sent_at, bus_stream, bus_sequence FROM amends_outbox"
    assert await ask(fence, marked) == [
        ("a1", 1_000.0, "fake", 1),
        ("b1", 1_000.0, "fake", 2),
        ("a2", 1_000.0, "fake", 3),
    ]
    assert not await Relay(bus, fence.run).publish_some()  # type: ignore[arg-type]


async def test_what_the_bus_had_already_counts_as_sent(fence: SqliteFence, clock: Clock) -> None:
    bus = FakeBus(taken=["a1"])
    await put(fence, "a1")
    assert await Relay(bus, fence.run).publish_some()  # type: ignore[arg-type]
    assert await ask(fence, "SELECT count(*) FROM amends_outbox WHERE sent_at IS NULL") == [(0,)]


async def test_a_bus_that_is_away_leaves_everything_as_it_was(
    fence: SqliteFence, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakeBus(away=True)
    publishing = Relay(bus, fence.run)  # type: ignore[arg-type]
    await put(fence, "a1", "b1")
    for _ in range(20):
        assert not await publishing.publish_some()
    assert await ask(fence, "SELECT attempts, sent_at FROM amends_outbox") == [(0, None)] * 2
    assert caplog.messages == ["the bus is away, and 2 events or more wait in the outbox: it is away"]
    bus.away = False
    assert await publishing.publish_some()
    assert caplog.messages[1:] == ["the bus is back"]


async def test_an_event_that_the_bus_refuses_holds_up_its_saga_alone(
    fence: SqliteFence, clock: Clock
) -> None:
    bus = FakeBus(refused={"a1"})
    publishing = Relay(bus, fence.run)  # type: ignore[arg-type]
    await put(fence, "a1", "a2", "b1")
    assert await publishing.publish_some()
    await put(fence, "a3", "b2")
    assert await publishing.publish_some()
    assert bus.taken == ["b1", "b2"]
    bus.refused.clear()
    clock.now += 60
    assert await publishing.publish_some()
    assert bus.taken == ["b1", "b2", "a1", "a2", "a3"]


async def test_an_event_that_is_refused_again_and_again_is_given_up_and_says_so(
    fence: SqliteFence, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakeBus(refused={"a1"})
    publishing = Relay(bus, fence.run)  # type: ignore[arg-type]
    await put(fence, "a1", "a2")
    for _ in range(REFUSALS_MAX + 3):
        assert not await publishing.publish_some()
        clock.now += 60
    found = "SELECT event_id, attempts, last_error, dead_at IS NOT NULL FROM amends_outbox"
    assert await ask(fence, found) == [("a1", REFUSALS_MAX, "it is too large", 1), ("a2", 0, "", 0)]
    assert [each.levelno for each in caplog.records] == [logging.WARNING] * (REFUSALS_MAX - 1) + [
        logging.ERROR
    ]


async def test_a_relay_that_nobody_wakes_looks_by_itself(fence: SqliteFence) -> None:
    bus = FakeBus()
    running = asyncio.create_task(Relay(bus, fence.run).run())  # type: ignore[arg-type]
    await put(fence, "a1")
    async with asyncio.timeout(20):
        await bus.more.wait()
    running.cancel()


async def test_a_relay_is_woken_by_what_is_committed(
    fence: SqliteFence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_S", 3_600.0)
    bus, looked = FakeBus(), asyncio.Event()

    async def between(work: Callable[[Ledger], Any]) -> Any:
        looked.set()
        return await fence.run(work)

    publishing = Relay(bus, between)  # type: ignore[arg-type]
    running = asyncio.create_task(publishing.run())
    await looked.wait()
    await put(fence, "a1")
    publishing.wake()
    async with asyncio.timeout(20):
        await bus.more.wait()
    running.cancel()


async def test_a_relay_outlives_a_store_that_fails_for_a_while(
    fence: SqliteFence, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relay, "AWAY_S", 0.001)
    bus, failures = FakeBus(), [sqlite3.OperationalError("disk I/O error")]

    async def between(work: Callable[[Ledger], Any]) -> Any:
        if failures:
            raise failures.pop()
        return await fence.run(work)

    await put(fence, "a1")
    running = asyncio.create_task(Relay(bus, between).run())  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await bus.more.wait()
    running.cancel()
    assert "the outbox cannot be read or written" in caplog.text


# Leases


async def taken_by(fence: SqliteFence, lease: Lease, now: float) -> tuple[int, ...]:
    def work(ledger: Ledger) -> tuple[int, ...]:
        ledger.begin()
        lease.take(connection_of(ledger), now)
        ledger.commit()
        return lease.partitions(now)

    return await fence.run(work)


async def held_by(fence: SqliteFence, lease: Lease) -> frozenset[int]:
    return await fence.run(lambda ledger: lease.still_held(connection_of(ledger)))


ALL = tuple(range(PARTITIONS))


async def test_who_comes_first_has_all_partitions_and_who_comes_second_none(fence: SqliteFence) -> None:
    assert await taken_by(fence, Lease("first"), 0.0) == ALL
    assert await taken_by(fence, Lease("second"), LEASE_S - 0.1) == ()


async def test_a_lease_is_renewed_before_it_runs_out(fence: SqliteFence) -> None:
    lease = Lease("first")
    assert lease.is_to_be_renewed(0.0)
    await taken_by(fence, lease, 0.0)
    assert not lease.is_to_be_renewed(LEASE_S / 4)
    assert lease.is_to_be_renewed(LEASE_S / 2)
    await taken_by(fence, lease, LEASE_S / 2)
    assert await taken_by(fence, Lease("second"), LEASE_S + 0.1) == ()


async def test_a_lease_that_ran_out_is_taken_and_its_owner_holds_nothing_any_more(fence: SqliteFence) -> None:
    stopped, successor = Lease("first"), Lease("second")
    await taken_by(fence, stopped, 0.0)
    assert stopped.partitions(LEASE_S) == ()
    assert await taken_by(fence, successor, LEASE_S) == ALL
    assert await held_by(fence, stopped) == frozenset()
    assert await held_by(fence, successor) == frozenset(ALL)


async def test_who_takes_back_what_another_had_meanwhile_has_a_greater_epoch(fence: SqliteFence) -> None:
    first, second = Lease("first"), Lease("second")
    await taken_by(fence, first, 0.0)
    before = earlier(first)
    await taken_by(fence, second, LEASE_S)
    await taken_by(fence, first, 2 * LEASE_S)
    assert await held_by(fence, first) == frozenset(ALL)
    assert await held_by(fence, before) == frozenset()


def earlier(lease: Lease) -> Lease:
    """What the same owner believed at an earlier time."""
    copy = Lease(lease._owner)
    copy._epochs, copy._until = dict(lease._epochs), lease._until
    return copy


async def test_what_is_given_up_can_be_taken_at_once(fence: SqliteFence) -> None:
    first = Lease("first")
    await taken_by(fence, first, 0.0)

    def give_up(ledger: Ledger) -> None:
        ledger.begin()
        first.give_up(connection_of(ledger))
        ledger.commit()

    await fence.run(give_up)
    assert await taken_by(fence, Lease("second"), 0.1) == ALL


async def test_a_lease_given_before_the_clock_was_set_back_binds_nobody(fence: SqliteFence) -> None:
    first = Lease("first")
    await taken_by(fence, first, 1_000_000.0)
    assert first.is_to_be_renewed(0.0)
    assert await taken_by(fence, Lease("second"), 0.0) == ALL
