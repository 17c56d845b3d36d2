"""What is special to the bus in a SQLite file: its processes, its file, its bells."""

import asyncio
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import (
    BusError,
    BusUnavailableError,
    Delivery,
    Message,
    MessageRefusedError,
    Receipt,
    Subscription,
    Verdict,
)
from amends._bus.opening import bus_at
from amends._bus.sqlite import SqliteBus, bell, consuming, lane, opening
from amends._bus.sqlite import subscription as subscribing
from amends._bus.sqlite.subscription import SqliteSubscription
from amends.errors import UsageError
from tests.bus.messages import acknowledge, ids, publish, settle

OpenBus = Callable[..., Awaitable[SqliteBus]]

DAY = 24 * 3600.0
WHOLE_ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db"


@pytest.fixture
async def open_bus(path: Path) -> AsyncIterator[OpenBus]:
    buses = []

    async def opened(**options: Any) -> SqliteBus:
        bus = SqliteBus(path, **options)
        await bus.open()
        buses.append(bus)
        return bus

    yield opened
    for bus in buses:
        await bus.close()


def message(number: int, *, key: str = "k", subject: str = "s", data: bytes = b"d") -> Message:
    return Message(id=f"test/{number}", key=key, subject=subject, headers={"ce-id": str(number)}, data=data)


async def nak(subscription: Subscription, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
    await settle(subscription, Verdict.NAK, *deliveries, delay=delay)


async def has_nothing(subscription: SqliteSubscription) -> bool:
    """Whether a look into the file finds nothing for a subscription."""
    found, _ = await subscription._take(100)
    return not found


async def until(reached: Callable[[], bool]) -> None:
    """Lets others go on until something has come about."""
    while not reached():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)


@asynccontextmanager
async def listener(
    bus: SqliteBus, *, lease: float = 30.0, manner: str = "hold"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that listens as the consumer "c"; killed in the end if it has not ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bus.listener", bus.url, "c", str(lease), manner,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=WHOLE_ROOT,
    )  # fmt: skip
    try:
        assert await line_of(process) == ["ready"]
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def is_written(descriptor: int) -> bool:
    """Writes what it can into a pipe; False if it is full."""
    try:
        return os.write(descriptor, b"\n" * 4096) > 0
    except BlockingIOError:
        return False


async def line_of(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().split()


# Processes


async def test_what_a_killed_process_had_goes_to_another_long_before_its_lease_runs_out(
    open_bus: OpenBus, path: Path
) -> None:
    """What a killed process had goes to another long before its lease runs out."""
    bus = await open_bus()
    async with listener(bus, lease=1_000) as process:
        await publish(bus, message(1), message(2))
        assert [(await line_of(process))[0] for _ in range(2)] == ["1", "2"]
        subscription = await bus.subscribe("c", ["s"])
        await publish(bus, message(3), message(4, key="other"))
        assert ids(await subscription.fetch(10)) == ["test/4"]
        process.kill()
        await process.wait()
        found = await subscription.fetch(10)
        assert [(one.message.id, one.number) for one in found] == [
            ("test/1", 2),
            ("test/2", 2),
            ("test/3", 1),
        ]
        assert len(list(path.parent.glob("*-bell-*"))) == 1, "the dead one's bell is removed"


async def test_a_frozen_process_cannot_settle_what_another_has_been_given(open_bus: OpenBus) -> None:
    """A process that was frozen past its lease cannot settle what another has been given."""
    bus = await open_bus()
    async with listener(bus, lease=0.1) as process:
        await publish(bus, message(1))
        await line_of(process)
        os.kill(process.pid, signal.SIGSTOP)
        subscription = await bus.subscribe("c", ["s"])
        (taken,) = await subscription.fetch(10)
        assert taken.number == 2
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.write(b"settle\n")
        assert await line_of(process) == ["settled"]
        await nak(subscription, [taken])
        assert [one.number for one in await subscription.fetch(10)] == [3], "it was not settled"


async def test_two_processes_share_a_consumer_and_keep_the_order_of_every_key(open_bus: OpenBus) -> None:
    """Two processes share a consumer: each message goes to one, and those of a key in order across both."""
    bus = await open_bus()
    async with listener(bus, manner="always") as one, listener(bus, manner="always") as other:
        total = 400
        for start in range(0, total, 20):
            await publish(bus, *(message(n, key=f"k{n % 7}") for n in range(start, start + 20)))
        seen: list[tuple[int, int, str]] = []

        async def collect(process: asyncio.subprocess.Process) -> None:
            while len(seen) < total:
                sequence, number, key, moment = await line_of(process)
                assert number == "1"
                seen.append((int(moment), int(sequence), key))

        tasks = [asyncio.create_task(collect(process)) for process in (one, other)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        assert sorted(sequence for _, sequence, _ in seen) == list(range(1, total + 1))
        for key in {key for _, _, key in seen}:
            places = [sequence for _, sequence, its in sorted(seen) if its == key]
            assert places == sorted(places)


async def test_a_key_in_one_owners_hands_is_given_to_no_other(open_bus: OpenBus) -> None:
    """While one owner has a message of a key, another is given none of it, and all of it afterwards."""
    first, second = await open_bus(), await open_bus()
    one = await first.subscribe("c", ["s"])
    other = await second.subscribe("c", ["s"])
    await publish(first, message(1), message(2))
    held = await one.fetch(1)
    assert await has_nothing(other)
    waiting = asyncio.create_task(other.fetch(10))
    await acknowledge(one, held)
    assert ids(await waiting) == ["test/2"]


async def test_what_an_owner_hands_back_goes_to_it_alone_while_it_has_others_of_the_key(
    open_bus: OpenBus,
) -> None:
    """A message that comes back goes to its owner, and to no other, while that has a later one of the key."""
    first, second = await open_bus(), await open_bus()
    one = await first.subscribe("c", ["s"])
    other = await second.subscribe("c", ["s"])
    await publish(first, message(1), message(2), message(3))
    held = await one.fetch(2)
    await nak(one, held[:1])
    assert await has_nothing(other)
    assert ids(await one.fetch(10)) == ["test/1", "test/3"]


async def test_a_nak_holds_back_its_key_at_every_owner_until_the_delay_is_over(open_bus: OpenBus) -> None:
    """A NAK holds back later messages of its key, and a waiting fetch returns when the delay is over."""
    first, second = await open_bus(), await open_bus()
    one = await first.subscribe("c", ["s"])
    other = await second.subscribe("c", ["s"])
    await publish(first, message(1))
    held = await one.fetch(1)
    waiting = asyncio.create_task(other.fetch(10))
    await nak(one, held, delay=0.05)
    await publish(first, message(2))
    found = await waiting
    assert [(one.message.id, one.number) for one in found] == [("test/1", 2), ("test/2", 1)]


async def test_closing_gives_back_at_once(open_bus: OpenBus, path: Path) -> None:
    """What a closed subscription had goes to another at once, and closing again does no harm."""
    first, second = await open_bus(), await open_bus()
    one = await first.subscribe("c", ["s"])
    other = await second.subscribe("c", ["s"])
    await publish(first, message(1))
    await one.fetch(1)
    await one.close()
    await one.close()
    assert not await has_nothing(other)
    with pytest.raises(RuntimeError, match="closed"):
        await one.fetch(1)


async def test_a_fetch_that_waits_ends_when_its_subscription_is_closed(open_bus: OpenBus) -> None:
    """A fetch that waits ends when its subscription is closed."""
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    waiting = asyncio.create_task(subscription.fetch(1))
    await asyncio.sleep(0)
    await bus.close()
    with pytest.raises(RuntimeError, match="closed"):
        await waiting


async def test_what_a_cancelled_fetch_took_comes_again(open_bus: OpenBus) -> None:
    """What a cancelled fetch took comes with the next."""
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    await publish(bus, message(1))
    go_on = threading.Event()
    busy = asyncio.create_task(bus._consumers.run(lambda _: go_on.wait()))
    fetching = asyncio.create_task(subscription.fetch(1))
    await asyncio.sleep(0)  # the fetch is with the thread, which is busy
    await asyncio.sleep(0)
    fetching.cancel()
    go_on.set()
    await busy
    found = await subscription.fetch(1)
    assert [(one.message.id, one.number) for one in found] == [("test/1", 2)]


async def test_a_lease_that_is_kept_does_not_run_out(
    open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that is kept does not run out; one that is not has the message come again."""
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    await publish(bus, message(1), message(2, key="other"))
    monkeypatch.setattr(consuming, "LEASE_S", 0.0)
    held = await subscription.fetch(2)
    monkeypatch.setattr(consuming, "LEASE_S", 30.0)
    await subscription.keep(held[:1])
    found = await subscription.fetch(2)
    assert [(one.message.id, one.number) for one in found] == [("test/2", 2)]


# Subjects


async def test_a_subject_that_is_new_to_a_consumer_is_delivered_from_the_consumers_beginning(
    open_bus: OpenBus,
) -> None:
    """A subject that is new to a consumer is delivered from where the consumer began, and in order."""
    bus = await open_bus()
    await publish(bus, message(0, subject="t"))
    old = await bus.subscribe("c", ["s"])
    await publish(bus, message(1, subject="t"), message(2, subject="s"), message(3, subject="t"))
    await acknowledge(old, await old.fetch(10))
    await old.close()
    new = await bus.subscribe("c", ["s", "t"])
    await publish(bus, message(4))
    assert ids(await new.fetch(10)) == ["test/1", "test/3", "test/4"]


async def test_a_subject_that_was_given_up_is_gone_on_with_where_it_was_left(open_bus: OpenBus) -> None:
    """A subject that a consumer gave up for a time goes on with the first message it had not settled."""
    bus = await open_bus()
    both = await bus.subscribe("c", ["s", "t"])
    await publish(bus, message(1, subject="t"), message(2, subject="t"))
    first = await both.fetch(1)
    await acknowledge(both, first)
    await both.fetch(1)
    await both.close()
    without = await bus.subscribe("c", ["s"])
    await publish(bus, message(3, subject="t"), message(4))
    assert ids(await without.fetch(10)) == ["test/4"], "nothing that is not wanted holds up its key"
    await without.close()
    again = await bus.subscribe("c", ["s", "t"])
    assert ids(await again.fetch(10)) == ["test/2", "test/3", "test/4"]


async def test_a_process_that_wants_less_than_its_consumer_leaves_the_rest_to_others(
    open_bus: OpenBus,
) -> None:
    """During an update an older process is given no new subject, and nothing that has to come after it."""
    first, second = await open_bus(), await open_bus()
    old = await first.subscribe("c", ["s"])
    new = await second.subscribe("c", ["s", "t"])
    await publish(first, message(1, subject="t"), message(2), message(3, key="other"))
    assert ids(await old.fetch(10)) == ["test/3"]
    assert await has_nothing(old)
    assert ids(await new.fetch(10)) == ["test/1", "test/2"]


# Bells


async def test_a_bell_that_is_not_heard_only_costs_time(
    open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message arrives although nobody rang."""
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    waiting = asyncio.create_task(subscription.fetch(1))
    monkeypatch.setattr(bell, "_open", lambda *_: True)
    await publish(bus, message(1))
    assert ids(await waiting) == ["test/1"]


async def test_an_owner_that_was_taken_for_dead_joins_again(open_bus: OpenBus, path: Path) -> None:
    """An owner whose bell was removed by hand is given up by others, joins again, and loses nothing."""
    first, second = await open_bus(), await open_bus()
    one = await first.subscribe("c", ["s"])
    await publish(first, message(1))
    held = await one.fetch(1)
    for pipe in path.parent.glob("*-bell-*"):
        pipe.unlink()
    other = await second.subscribe("c", ["s"])
    assert [taken.number for taken in await other.fetch(1)] == [2]
    await acknowledge(one, held)
    await other.close()
    found = await one.fetch(1)
    assert [(taken.message.id, taken.number) for taken in found] == [("test/1", 3)]


async def test_a_bell_that_nobody_listens_to_does_not_stop_who_rings(open_bus: OpenBus, path: Path) -> None:
    """A bell that is full of rings stops nobody from publishing, and its owner is not taken for dead."""
    bus = await open_bus()
    await bus.subscribe("c", ["s"])
    (pipe,) = path.parent.glob("*-bell-*")
    descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    while is_written(descriptor):
        pass
    os.close(descriptor)
    bell.ring([pipe])
    assert not bell.is_silent(pipe)


async def test_nothing_is_left_beside_the_file(open_bus: OpenBus, path: Path) -> None:
    """Nothing but the file is left once every bus is closed."""
    bus = await open_bus()
    await bus.subscribe("c", ["s"])
    await publish(bus, message(1))
    await bus.close()
    await bus.close()
    assert list(path.parent.iterdir()) == [path]


async def test_a_folder_that_takes_no_pipes_is_refused(
    open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in which no pipe can be made is refused when somebody subscribes."""

    def mkfifo(_: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    bus = await open_bus()
    monkeypatch.setattr(os, "mkfifo", mkfifo)
    with pytest.raises(BusError, match=r"bus\.db-bell-.*Operation not permitted.*local disk"):
        await bus.subscribe("c", ["s"])


# Publishing and reading


async def test_what_is_too_large_is_refused_and_holds_up_its_key_alone(open_bus: OpenBus) -> None:
    """A message that is too large is refused, later ones of its key are not taken, and the others are."""
    bus = await open_bus()
    large = message(1, data=bytes(bus.max_bytes))
    refused, held_up, taken = await bus.publish([large, message(2), message(3, key="other")])
    assert isinstance(refused, MessageRefusedError)
    assert isinstance(held_up, BusUnavailableError)
    assert isinstance(taken, Receipt)
    assert [type(result) for result in await bus.publish([large])] == [MessageRefusedError]


async def test_what_is_no_unicode_is_refused(open_bus: OpenBus) -> None:
    """A message whose key could not be read back is refused."""
    bus = await open_bus()
    (refused,) = await bus.publish([message(1, key="\ud800")])
    assert isinstance(refused, MessageRefusedError)
    assert "no Unicode" in str(refused)


async def test_text_and_bytes_come_back_as_they_were(open_bus: OpenBus) -> None:
    """Text of all kinds and any bytes come back as they were."""
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    sent = [
        message(1, key="schlüssel/鍵/🔑", data=bytes(range(256))),
        message(2, key="a\0b'\"\n", data=b""),
        message(3, data=b"\xff"),
    ]
    await publish(bus, *sent)
    assert [one.message for one in await subscription.fetch(10)] == sent


async def test_a_repeated_id_is_told_from_a_new_one(open_bus: OpenBus) -> None:
    """Ids that are there already, and ids twice in one batch, are duplicates, with the sequence they have."""
    bus = await open_bus()
    await publish(bus, message(1))
    receipts = await bus.publish([message(2), message(1), message(3), message(2)])
    found = [receipt for receipt in receipts if isinstance(receipt, Receipt)]
    assert [receipt.duplicate for receipt in found] == [False, True, False, True]
    assert found[1].sequence == 1
    assert found[3].sequence == found[0].sequence < found[2].sequence
    assert await publish(bus, message(4), message(5)) == [found[2].sequence + 2, found[2].sequence + 3]


async def test_large_messages_come_a_few_at_a_time(open_bus: OpenBus) -> None:
    """Messages of the largest size are taken, given back and read a few at a time, and all of them."""
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    for number in range(20):
        await publish(bus, message(number, data=bytes(1_000_000)))
    for _ in range(2):
        taken: list[Delivery] = []
        while len(taken) < 20:
            found = await subscription.fetch(100)
            assert len(found) <= 9
            taken += found
        assert ids(taken) == [f"test/{number}" for number in range(20)]
        await nak(subscription, taken)
    pages = [page async for page in bus.read(0, follow=False)]
    assert [len(page) for page in pages] == [9, 9, 2]


async def test_a_long_log_of_what_nobody_wants_is_passed_in_strides(
    open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer passes what it does not want in strides, and finds what lies behind."""
    monkeypatch.setattr(consuming, "_STRIDE", 3)
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    await publish(bus, *(message(number, subject="t") for number in range(10)), message(10))
    assert ids(await subscription.fetch(1)) == ["test/10"]


async def test_a_reader_goes_on_with_what_is_published_later(open_bus: OpenBus) -> None:
    """A reader that follows is given what is there, then what comes."""
    bus = await open_bus()
    await publish(bus, message(1), message(2))
    pages = bus.read(1, follow=True)
    assert [sequence for sequence, _ in await anext(pages)] == [2]
    later = asyncio.ensure_future(anext(pages))
    await asyncio.sleep(0)
    await publish(bus, message(3))
    assert [found.id for _, found in await later] == ["test/3"]


async def test_what_is_older_than_the_retention_is_neither_delivered_nor_read_and_is_removed(
    open_bus: OpenBus,
) -> None:
    """What is older than the retention is neither delivered nor read, even after a NAK, and goes."""
    bus = await open_bus(retention=7 * DAY)
    subscription = await bus.subscribe("c", ["s"])
    await publish(bus, message(1), message(2, key="other"))
    await nak(subscription, await subscription.fetch(1))
    await bus._publisher.run(
        lambda db: db.execute("UPDATE messages SET published_at = published_at - ?", (8 * DAY,))
    )
    await publish(bus, message(3))
    assert [page[0][1].id async for page in bus.read(0, follow=False)] == ["test/3"]
    assert ids(await subscription.fetch(10)) == ["test/3"]
    count = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM deliveries)"
    assert await bus._consumers.run(lambda db: db.execute(count).fetchone()) == (1, 1)


async def test_only_what_is_published_is_synced(open_bus: OpenBus) -> None:
    """Publishing syncs at every commit (FULL), and consuming never does (NORMAL)."""
    bus = await open_bus()
    found = [
        await side.run(lambda db: db.execute("PRAGMA synchronous").fetchone()[0])
        for side in (bus._publisher, bus._consumers)
    ]
    assert found == [2, 1]


# The file


async def test_a_full_disk_is_no_fault_of_the_messages_and_consumers_wait_for_room(
    open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the disk is full publishing says so and consumers wait; both go on when there is room."""
    caplog.set_level(logging.INFO, "amends.bus")
    monkeypatch.setattr(subscribing, "_PAUSE_S", 0.01)
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    await publish(bus, *(message(number, key=str(number)) for number in range(300)))

    async def limit(pages: int) -> None:
        for side in (bus._publisher, bus._consumers):
            await side.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall())

    await limit(1)  # SQLite takes this for as many as there are
    (result,) = await bus.publish([message(1_000, data=bytes(100_000))])
    assert isinstance(result, BusUnavailableError)
    assert "make room on its disk" in str(result)
    waiting = asyncio.create_task(subscription.fetch(300))
    await until(lambda: bool(caplog.records))
    await limit(100_000)
    found = await waiting
    assert len(found) == 300
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    await publish(bus, message(1_000, data=bytes(100_000)))


async def test_a_file_that_is_locked_for_long_is_unavailable_and_then_again_is_not(
    open_bus: OpenBus, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While another program locks the file nothing is published, settled or joined; later everything is."""
    monkeypatch.setattr(lane, "PATIENCE_S", 0.01)
    monkeypatch.setattr(subscribing, "_PAUSE_S", 0.01)
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    await publish(bus, message(1))
    held = await subscription.fetch(1)
    program = sqlite3.connect(path, isolation_level=None)
    program.execute("BEGIN IMMEDIATE")
    (result,) = await bus.publish([message(2)])
    assert isinstance(result, BusUnavailableError)
    assert "another process holds its lock" in str(result)
    with pytest.raises(BusUnavailableError):
        await bus.announce("shop", b"")
    await nak(subscription, held)
    await subscription.keep(held)
    late = await bus.subscribe("late", ["s"])
    waiting = asyncio.create_task(late.fetch(1))
    program.execute("ROLLBACK")
    program.close()
    await until(lambda: late._owner is not None)
    await acknowledge(subscription, held)
    await publish(bus, message(2))
    assert ids(await waiting) == ["test/2"]
    assert ids(await subscription.fetch(2)) == ["test/2"]


async def test_a_short_lock_is_waited_for(open_bus: OpenBus, path: Path) -> None:
    """Publishing waits for a lock that another program holds for a short time."""
    bus = await open_bus()
    program = sqlite3.connect(path, isolation_level=None)
    program.execute("BEGIN IMMEDIATE")
    publishing = asyncio.create_task(publish(bus, message(1)))
    await asyncio.sleep(0)
    program.execute("ROLLBACK")
    program.close()
    assert await publishing == [1]


async def test_a_reader_that_follows_waits_for_a_bus_that_is_away(
    open_bus: OpenBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that follows waits while the bus is away; one that does not says so."""
    bus = await open_bus()
    await publish(bus, message(1))
    whole = lane.patiently
    failures = iter([sqlite3.OperationalError("disk I/O error")] * 2)

    def failing(work: Callable[[], Any]) -> Any:
        error = next(failures, None)
        if error is not None:
            error.sqlite_errorname = "SQLITE_IOERR_READ"
            raise error
        return whole(work)

    monkeypatch.setattr(lane, "patiently", failing)
    with pytest.raises(BusUnavailableError, match="its disk fails or is full"):
        await anext(bus.read(0, follow=False))
    assert len(await anext(bus.read(0, follow=True))) == 1


async def test_a_mistake_of_ours_is_not_taken_for_a_fault_of_the_world(open_bus: OpenBus) -> None:
    """An error of SQL passes as it is."""
    bus = await open_bus()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await bus._consumers.write(lambda db: db.execute("SELECT * FROM missing"))


def _nonsense(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def _cut_short(path: Path) -> None:
    connection = opening.connect_to_publish(path)
    connection.close()
    path.write_bytes(path.read_bytes()[:6_000])


def _without_a_table(path: Path) -> None:
    connection = opening.connect_to_publish(path)
    connection.execute("DROP TABLE deliveries")
    connection.close()


def _somebody_elses(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (id)")
    connection.close()


def _newer(path: Path) -> None:
    connection = opening.connect_to_publish(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()


def _without_a_folder(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        (_nonsense, "it is no SQLite database; choose another file"),
        (_cut_short, "it is damaged; stop its services and move it away"),
        (_without_a_table, "no such table: deliveries; it is damaged"),
        (_somebody_elses, "it is a database of something else; choose another file"),
        (_newer, "it has version 2, and this is version 1; install the newer version"),
        (_without_a_folder, "check that its folder exists"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(
    path: Path, spoil: Callable[[Path], None], advice: str
) -> None:
    """A file that cannot be used is refused when the bus is opened, with what to do."""
    spoil(path)
    with pytest.raises(BusError, match=advice) as caught:
        await SqliteBus(path).open()
    assert str(path) in str(caught.value)


def test_a_file_that_keeps_no_log_is_refused() -> None:
    """A file that cannot have a write-ahead log is refused, such as one in memory."""
    with pytest.raises(BusError, match="cannot keep a write-ahead log; put it on a local disk"):
        opening.connect_to_publish(Path(":memory:"))


async def test_a_bus_that_opens_by_half_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bus whose second connection fails closes its first, and may be opened later."""

    def fail(_: Path) -> sqlite3.Connection:
        raise BusError("no room for another connection")

    bus = SqliteBus(path)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "connect_to_consume", fail)
        with pytest.raises(BusError, match="no room"):
            await bus.open()
    for thread in threading.enumerate():
        if "_connection_worker" in thread.name:
            thread.join()
    await bus.open()
    await bus.close()


async def test_two_processes_that_make_the_file_at_once_make_one_bus(path: Path) -> None:
    """Buses that are opened at once on a file that does not exist share one."""
    buses = [SqliteBus(path) for _ in range(6)]
    await asyncio.gather(*(bus.open() for bus in buses))
    assert [await publish(bus, message(number)) for number, bus in enumerate(buses)] == [
        [n] for n in range(1, 7)
    ]
    for bus in buses:
        await bus.close()


async def test_two_names_of_one_file_are_one_bus(open_bus: OpenBus, path: Path) -> None:
    """A bus that is opened by a link wakes those who opened the file itself."""
    bus = await open_bus()
    subscription = await bus.subscribe("c", ["s"])
    (path.parent / "links").mkdir()
    link = path.parent / "links" / "bus.db"
    link.symlink_to(path)
    other = SqliteBus(link)
    await other.open()
    await publish(other, message(1))
    await other.close()
    assert other.url == bus.url
    assert ids(await subscription.fetch(1)) == ["test/1"]


# Names


async def test_a_name_is_one_stores_at_a_time(open_bus: OpenBus) -> None:
    """A claim keeps a name from another store until it runs out, and its owner may repeat it."""
    bus = await open_bus()
    await bus.claim("shop", "one", 100)
    await bus.claim("shop", "one", 100)
    with pytest.raises(BusError, match=r"'shop' is used by a service with another store \(one\).* 100 s"):
        await bus.claim("shop", "other", 100)
    await bus.claim("shop", "one", 0)
    await bus.claim("shop", "other", 100)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:bus.db", "bus.db", "kafka://localhost", ""]
)
def test_a_url_of_no_bus_is_refused(url: str) -> None:
    """A URL that names no bus is refused with the forms that do."""
    with pytest.raises(UsageError, match=r"'sqlite:///<path>'.*'nats://"):
        bus_at(url)


def test_a_url_with_three_slashes_is_relative_and_with_four_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes make a path relative to the working directory, and four an absolute one."""
    monkeypatch.chdir(tmp_path)
    assert bus_at("sqlite:///bus.db").url == f"sqlite:///{tmp_path / 'bus.db'}"
    assert bus_at("sqlite:////var/bus.db").url == "sqlite:////var/bus.db"
