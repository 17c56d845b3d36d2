"""One process's part in a consumer."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from amends._bus.interface import BusError, BusUnavailableError, Delivery, Settlement
from amends._bus.sqlite import consuming, joining, upkeep
from amends._bus.sqlite.bell import Bell, ring
from amends._bus.sqlite.consuming import GivenUpError
from amends._bus.sqlite.joining import Owner
from amends._bus.sqlite.lane import Lane, in_transaction

T = TypeVar("T")

_log = logging.getLogger("amends.bus")

_PAUSE_S: Final = 0.5
"""How long to wait before the next try while the file cannot be used."""


class SqliteSubscription:
    """See Subscription.

    Args:
        path: the file of the bus.
        lane: where to work on it.
        consumer: the name of the consumer.
        subjects: what it wants.
        retention: for how many seconds messages may be delivered.
    """

    def __init__(
        self, path: Path, lane: Lane, consumer: str, subjects: Sequence[str], retention: float
    ) -> None:
        self._path = path
        self._lane = lane
        self._consumer = consumer
        self._subjects = subjects
        self._retention = retention
        self._bell: Bell | None = None
        self._owner: Owner | None = None
        self._named = asyncio.Event()
        self._fetching = asyncio.Lock()
        self._closed = False
        self._away = False
        self._tended_at = float("-inf")
        # What the thread took and no fetch has returned: it stays here where the fetch was cancelled.
        self._untold: list[Delivery] = []

    def __repr__(self) -> str:
        return f"<SqliteSubscription of {self._consumer} at {self._path}>"

    async def join(self) -> None:
        """Joins the consumer; where the file cannot be used at the moment, `fetch` goes on trying.

        Raises:
            BusError: no bell can be made.
        """
        try:
            await self._join()
        except BusUnavailableError as error:
            self._note_away(error)

    async def _join(self) -> None:
        if self._bell is None:
            self._bell = Bell.hang(self._path)
        name = self._bell.path.name
        self._owner = await self._lane.write(
            lambda connection: joining.join(connection, self._consumer, self._subjects, name)
        )
        self._named.set()

    async def until_named(self) -> None:
        """See Subscription.until_named."""
        await self._named.wait()

    async def fetch(self, limit: int) -> Sequence[Delivery]:
        """See Subscription.fetch."""
        async with self._fetching:
            while not self._closed:
                try:
                    deliveries, wait = await self._take(limit)
                except GivenUpError:
                    self._give_up()
                except (BusUnavailableError, BusError) as error:
                    self._note_away(error)
                    await asyncio.sleep(_PAUSE_S)
                else:
                    self._note_back()
                    if deliveries:
                        return deliveries
                    assert self._bell is not None
                    await self._bell.wait(wait)
        raise RuntimeError(f"{self!r} is closed")

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """See Subscription.settle."""
        bells = await self._tell(
            lambda connection, owner: consuming.settle(connection, owner, settlements, time.time())
        )
        self._ring(bells or ())

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """See Subscription.keep."""
        await self._tell(lambda connection, owner: consuming.keep(connection, owner, deliveries, time.time()))

    async def close(self) -> None:
        """See Subscription.close."""
        self._closed = True
        if self._bell is not None:
            self._bell.strike()
        async with self._fetching:
            await self._leave()

    async def _leave(self) -> None:
        bells = await self._tell(lambda connection, owner: joining.leave(connection, owner.number))
        self._give_up()
        self._ring(bells or ())

    async def _take(self, limit: int) -> tuple[list[Delivery], float]:
        if self._owner is None:
            await self._join()
        owner, bell = self._owner, self._bell
        assert owner is not None
        assert bell is not None
        bell.reset()
        found = await self._lane.run(lambda connection: self._look(connection, owner, limit))
        self._untold = []
        return found

    def _look(self, connection: sqlite3.Connection, owner: Owner, limit: int) -> tuple[list[Delivery], float]:
        """Takes what there is, in the thread; or says how long to wait before looking again."""
        now = time.time()
        oldest = now - self._retention
        self._tend(connection, now, oldest)
        if self._untold:
            untold, self._untold = self._untold, []
            in_transaction(connection, lambda db: consuming.give_back(db, owner, untold))
        # An idle consumer takes no lock that writers need.
        while consuming.has_more(connection, owner, now):
            taken = in_transaction(connection, lambda db: consuming.take(db, owner, limit, now, oldest))
            self._untold = taken.deliveries
            if taken.deliveries or taken.exhausted:
                break
        if self._untold:
            return self._untold, 0.0
        return [], min(upkeep.PERIOD_S, consuming.wait_of(connection, owner, now))

    def _tend(self, connection: sqlite3.Connection, now: float, oldest: float) -> None:
        if time.monotonic() < self._tended_at + upkeep.PERIOD_S:
            return
        self._tended_at = time.monotonic()
        if upkeep.is_needed(connection, self._path, now, oldest):
            bells = in_transaction(connection, lambda db: upkeep.tend(db, self._path, now, oldest))
            self._ring(bells)

    async def _tell(self, work: Callable[[sqlite3.Connection, Owner], T]) -> T | None:
        """Does what the bus can do without: a message that it is not told of comes again."""
        owner = self._owner
        if owner is None:
            return None
        try:
            return await self._lane.write(lambda connection: work(connection, owner))
        except BusUnavailableError as error:
            self._note_away(error)
            return None

    def _give_up(self) -> None:
        bell, self._bell, self._owner = self._bell, None, None
        self._untold = []
        if bell is not None:
            bell.take_down()

    def _ring(self, bells: Iterable[str]) -> None:
        ring(self._path.with_name(bell) for bell in bells)

    def _note_away(self, error: Exception) -> None:
        if not self._away:
            _log.warning("%s; %s waits for it", error, self._consumer)
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            _log.info("the bus %s is available again; %s goes on", self._path, self._consumer)
        self._away = False
