"""A relay that runs alone, for a service that does not publish what is in its outbox itself."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from amends._bus.interface import Bus
from amends._choreography import queries
from amends._choreography.reacting import connection_of
from amends._choreography.relay import Relay
from amends._choreography.service import schema_of_services, store_path
from amends._fence import Ledger, SqliteFence
from amends._fence.opening import explained
from amends.errors import StoreError

T = TypeVar("T")


async def relay_until_stopped(store: str, bus: Bus, *, revive: bool, on_start: Callable[[int], None]) -> None:
    """Publishes until SIGTERM or SIGINT.

    Args:
        store: the service's store, which must exist.
        bus: where to publish.
        revive: whether rows that were given up are to be tried again.
        on_start: called once everything is open, with the number of rows revived.

    Raises:
        StoreError: the store is not there, is none of a service, or cannot be used.
        BusError: the bus cannot be used.
        UsageError: the store is named in another form.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    path = store_path(store)
    _check(path)
    fence, lock = SqliteFence(path, schema_of_services()), asyncio.Lock()

    async def between(work: Callable[[Ledger], T]) -> T:
        async with lock:
            return await fence.run(work)

    await fence.open()
    try:
        await bus.open()
        on_start(await between(_revive) if revive else 0)
        await _run(Relay(bus, between), stopped)
    finally:
        await bus.close()
        await fence.close()


def _check(path: Path) -> None:
    """Checks that a file is a service's store, and leaves it as it is. Raises StoreError."""
    if not path.is_file():
        raise StoreError(f"there is no store {path}: start its service once, which makes it")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as db:
            served = (
                db.execute(queries.HAS_SERVICES).fetchone()[0] and db.execute(queries.ANY_SERVICE).fetchone()
            )
    except sqlite3.Error as error:
        raise StoreError(explained(path, error)) from error
    if not served:
        raise StoreError(
            f"{path} is no service's store: name the one that the service has, after it was started once"
        )


async def _run(relay: Relay, stopped: asyncio.Event) -> None:
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(stopped.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await relay.close()


def _revive(ledger: Ledger) -> int:
    try:
        ledger.begin()
        revived = connection_of(ledger).execute(queries.REVIVE).rowcount
        ledger.commit()
    except BaseException:
        ledger.rollback()
        raise
    return revived
