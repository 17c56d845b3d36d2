"""Everything put together: follows a bus in the background, and answers whoever asks for its sagas."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Final

from amends._bus.interface import Bus, BusError, BusUnavailableError
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.store.interface import Cursor, Filter, StoreUnavailableError
from amends_coordinator.store.tracking import TrackedRow, Tracking
from amends_coordinator.tracker.counts import Counts
from amends_coordinator.tracker.follower import PAGE, Follower
from amends_coordinator.tracker.ledger import Ledger, read_fact, rebuild
from amends_coordinator.tracker.messages import saga_to_proto
from amends_coordinator.tracker.patience import Patience

log = logging.getLogger(__name__)

GRAPH_INTERVAL: Final = 10.0
"""Seconds between looks at what services announce. An event of a service or a type that nobody has named yet
has us look at once, so this is for a service that announces something else and says nothing."""

SWEEP_INTERVAL: Final = 1.0
"""Seconds between looks for sagas that stalled; small beside every sensible patience."""

REMOVAL_INTERVAL: Final = 60.0
"""Seconds between looks for sagas past their retention."""

SURVEY_INTERVAL: Final = 5.0
"""Seconds between counts of the unfinished sagas, as for those that are driven."""

TROUBLE_DELAY: Final = 1.0
"""Seconds before the bus or the store is tried again."""

COMPLAINT_INTERVAL: Final = 60.0
"""Seconds between two lines of the log about the same trouble."""


class Tracker:
    """Follows the sagas on one bus. The bus is open before, and closed after, by whoever made it."""

    def __init__(
        self, store: Tracking, bus: Bus, now: Callable[[], float], *, stall_after: float, retention: float
    ) -> None:
        """Follows a bus.

        Args:
            store: keeps the sagas.
            bus: carries their events.
            now: tells the present moment.
            stall_after: for how many seconds a saga may be silent while somebody is expected to react.
            retention: for how many seconds a saga that ended is kept.
        """
        self.counts = Counts()
        self._store = store
        self._url = bus.url
        self._now = now
        self._retention = retention
        self._patience = Patience(stall_after)
        self._ledger = Ledger(store, bus.url, self._patience, self.counts, told=self._tell)
        self.follower = Follower(store, bus, self._ledger, self._patience, self.counts, now)
        self._complained: dict[str, float] = {}  # when the log said so last, by what it said
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def __repr__(self) -> str:
        return f"<Tracker of {self._url}>"

    # Asking

    async def get(self, saga_id: str) -> saga_pb2.Saga | None:
        """Shows a saga as it is on disk; None if there is none.

        Raises:
            StoreUnavailableError: the store cannot be read.
            BrokenLogError: the saga cannot.
        """
        found = (await self._store.read_logs([saga_id])).get(saga_id)
        return None if found is None else saga_to_proto(rebuild(*found), self._ledger.graph)

    async def has(self, saga_id: str) -> bool:
        """Whether there is a saga of this id. Raises StoreUnavailableError."""
        return await self._store.get_row(saga_id) is not None

    async def list_rows(self, condition: Filter, after: Cursor | None, limit: int) -> list[TrackedRow]:
        """Lists a page of sagas, the newest first. Raises StoreUnavailableError."""
        return await self._store.list_rows(condition, after, limit)

    async def watch(self, saga_id: str, after: int, *, live: bool) -> AsyncIterator[event_pb2.Event]:
        """Yields the log of a saga after a sequence number, until the saga has ended.

        Args:
            saga_id: the saga, which must exist.
            after: the sequence number of the last event that the watcher has seen; 0 for none.
            live: whether to go on until the saga ends, or to stop at what happened so far.

        Raises:
            StoreUnavailableError: the store cannot be read.
            BrokenLogError: the saga cannot.
        """
        news = asyncio.Event()
        self._watchers[saga_id].add(news)
        try:
            while True:
                news.clear()
                row = await self._store.get_row(saga_id)
                for sequence, data in await self._store.read_log(saga_id, after):
                    after = sequence
                    yield read_fact(saga_id, sequence, data)
                if not live or row is None or row.state.ended:
                    return
                await news.wait()
        finally:
            self._watchers[saga_id].discard(news)
            if not self._watchers[saga_id]:
                self._watchers.pop(saga_id)

    def _tell(self, ids: Collection[str]) -> None:
        for saga_id in ids if self._watchers else ():
            for news in self._watchers.get(saga_id, ()):
                news.set()

    # Following

    async def run(self) -> None:
        """Follows the bus until it is cancelled. Whatever goes wrong, the daemon goes on."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(TROUBLE_DELAY, self.follower.follow))
            tasks.create_task(self._every(GRAPH_INTERVAL, self.follower.look_at_services))
            tasks.create_task(self._every(SWEEP_INTERVAL, self.sweep))
            tasks.create_task(self._every(REMOVAL_INTERVAL, self.remove_ended))
            tasks.create_task(self._every(SURVEY_INTERVAL, self.survey))

    async def _every(self, interval: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (BusError, BusUnavailableError) as error:
                self._complain(error, "bus_unavailable")
            except StoreUnavailableError as error:
                self._complain(error, "store_unavailable")
            except Exception:  # a mistake here must not take down the sagas that are driven
                log.exception("the tracker failed, and tries again", extra={"action": "tracker_failed"})
            await asyncio.sleep(interval)

    def _complain(self, error: Exception, action: str) -> None:
        """Says what the tracker waits for, now and then: an outage may last."""
        now = self._now()
        if now - self._complained.get(action, -COMPLAINT_INTERVAL) >= COMPLAINT_INTERVAL:
            self._complained[action] = now
            log.warning("the tracker waits: %s", error, extra={"action": action})

    async def sweep(self) -> None:
        """Finds the sagas that stalled since. Raises StoreUnavailableError."""
        now = self._now()
        before = self._patience.ends(now)
        while before is not None and (silent := await self._store.find_silent(before, PAGE)):
            if not await self._ledger.judge(silent, now):
                return  # none of them can be read

    async def remove_ended(self) -> None:
        """Removes sagas past their retention. Raises StoreUnavailableError."""
        before = self._now() - self._retention
        while await self._ledger.remove_ended(before, PAGE):
            pass

    async def survey(self) -> None:
        """Counts the unfinished sagas. Raises StoreUnavailableError."""
        self.counts.census = await self._store.census()
