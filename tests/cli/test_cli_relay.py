"""`amends relay` publishes for a service that does not, as a process of its own."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from amends._bus.interface import Message
from amends._bus.opening import bus_at
from amends.choreography import EventContext, EventService, JsonEvent

COMMAND = (sys.executable, "-m", "amends_coordinator.cli", "relay")


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AMENDS_")}


def service_at(folder: Path) -> EventService:
    service = EventService(
        "orders",
        bus=f"sqlite:///{folder / 'bus.db'}",
        store=f"sqlite:///{folder / 'orders.db'}",
        relay=False,
    )

    @service.entry(emits=["OrderPlaced"], effect_free=True)
    def place(order: dict[str, str], ctx: EventContext) -> JsonEvent:
        return JsonEvent("OrderPlaced", order)

    return service


@asynccontextmanager
async def relay(folder: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs the command, and ends it if it has not ended by then."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("--store", f"sqlite:///{folder / 'orders.db'}"),
        *("--bus", f"sqlite:///{folder / 'bus.db'}"),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def first_on(folder: Path) -> Message:
    """The first message that comes onto the bus."""
    bus = bus_at(f"sqlite:///{folder / 'bus.db'}")
    await bus.open()
    try:
        async for page in bus.read(0, follow=True):
            return page[0][1]
        raise AssertionError("a bus that is followed does not end")
    finally:
        await bus.close()


async def test_it_publishes_for_a_service_that_does_not_and_ends_when_asked(tmp_path: Path) -> None:
    service = service_at(tmp_path)
    async with service:
        place = service._reactions["place"]
        await service.begin(place, {"sku": "tea"}, saga_id="s1")
        async with relay(tmp_path) as process:
            message = await first_on(tmp_path)
            process.send_signal(signal.SIGTERM)
            out, err = await process.communicate()
    assert (message.key, message.subject) == ("s1", "OrderPlaced")
    assert (process.returncode, err) == (0, b"")
    assert out.startswith(b"relay: publishing from sqlite:///")


async def test_it_tries_again_what_was_given_up_if_asked_to(tmp_path: Path) -> None:
    service = service_at(tmp_path)
    async with service:
        await service.begin(service._reactions["place"], {"sku": "tea"}, saga_id="s1")
        await service._opened().read(_give_up_all)
        async with relay(tmp_path, "--revive") as process:
            assert (await first_on(tmp_path)).key == "s1"
            process.send_signal(signal.SIGTERM)
            out, _ = await process.communicate()
    assert b"1 events revived" in out


def _give_up_all(ledger: object) -> None:
    ledger.begin()  # type: ignore[attr-defined]
    ledger.db.execute("UPDATE amends_outbox SET attempts = 10, dead_at = 1")  # type: ignore[attr-defined]
    ledger.commit()  # type: ignore[attr-defined]


async def test_a_store_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    """Such as a participant's, or that of a service which was never started."""
    with closing(sqlite3.connect(tmp_path / "orders.db")) as db:
        db.execute("CREATE TABLE account (name TEXT)")
    (tmp_path / "bus.db").touch()
    before = (tmp_path / "orders.db").read_bytes()
    async with relay(tmp_path) as process:
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.decode() == (
        f"amends: {tmp_path / 'orders.db'} is no service's store: name the one that the service has, "
        "after it was started once\n"
    )
    assert (tmp_path / "orders.db").read_bytes() == before
    assert set(os.listdir(tmp_path)) == {"orders.db", "bus.db"}


async def test_a_service_that_was_only_opened_has_not_been_started(tmp_path: Path) -> None:
    service = service_at(tmp_path)
    await service.open()
    await service.stop()
    (tmp_path / "bus.db").touch()
    async with relay(tmp_path) as process:
        _, err = await process.communicate()
    assert b"is no service's store" in err


async def test_a_store_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "orders.db").write_bytes(b"no database" * 1_000)
    (tmp_path / "bus.db").touch()
    async with relay(tmp_path) as process:
        _, err = await process.communicate()
    assert b"it is no SQLite database; choose another file" in err
    assert len(err.splitlines()) == 1


async def test_a_bus_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """What was published into it nobody would hear."""
    async with service_at(tmp_path):
        pass
    (tmp_path / "bus.db").unlink()
    async with relay(tmp_path) as process:
        _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (
        2,
        f"amends: --bus sqlite:///{tmp_path / 'bus.db'}: there is no such file\n",
    )
    assert not (tmp_path / "bus.db").exists()


async def test_a_store_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bus.db").touch()
    async with relay(tmp_path) as process:
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.decode() == (
        f"amends: there is no store {tmp_path / 'orders.db'}: start its service once, which makes it\n"
    )
