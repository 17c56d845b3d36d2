"""What goes on in the background: recovery after a start, waking sagas that sleep, removing old ones."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from amends_coordinator.core import stimuli
from amends_coordinator.core.facts import Event
from amends_coordinator.core.fold import BrokenLogError, rebuild
from amends_coordinator.runtime.live import Live
from amends_coordinator.runtime.metrics import Metrics
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.store.interface import StoreUnavailableError

log = logging.getLogger(__name__)

PAGE = 500
"""Sagas read at once: a page takes some tens of milliseconds, in which new sagas are accepted as well."""

SLEEP_HORIZON = 60.0
"""Seconds without anything due after which a saga leaves memory. Backoffs stay below, so what sleeps is what
waits for a person or for another day."""

SWEEP_INTERVAL = 1.0
"""Seconds between looks at which sagas may sleep, and which must be woken."""

REMOVAL_INTERVAL = 60.0
"""Seconds between looks for sagas past their retention."""

REMOVAL_BATCH = 200
"""Sagas removed in one transaction: commits of live sagas wait for it, and must not wait long."""

SURVEY_INTERVAL = 5.0
"""Seconds between counts of all unfinished sagas: less than lies between two scrapes, 15 s as a rule."""

TROUBLE_DELAY = 1.0
"""Seconds before something that the store failed on is tried again."""


class Keeper:
    """Runs what goes on in the background."""

    def __init__(self, runtime: Runtime, metrics: Metrics, *, retention: float) -> None:
        """Keeps a runtime; sagas that ended are removed ``retention`` seconds later."""
        self._runtime = runtime
        self._metrics = metrics
        self._retention = retention
        self._drowsy: dict[str, Live] = {}
        self.recovered = asyncio.Event()
        runtime.on_idle = self._consider_sleep

    async def run(self) -> None:
        """Recovers, then keeps house until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recover())
            tasks.create_task(self._every(SWEEP_INTERVAL, self._sweep))
            tasks.create_task(self._every(REMOVAL_INTERVAL, self._remove))
            if self._metrics.survey is not None:
                tasks.create_task(self._every(SURVEY_INTERVAL, self._metrics.survey))

    async def _every(self, interval: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except StoreUnavailableError as error:
                log.warning("the store failed: %s", error, extra={"action": "store_unavailable"})
            await asyncio.sleep(interval)

    # Recovery

    async def _recover(self) -> None:
        """Resumes every unfinished saga, page by page, while new ones are accepted."""
        last, count = "", 0
        while True:
            if self._runtime.full:
                # Room may appear; but what was accepted must not wait for ever behind sagas that hang.
                await asyncio.sleep(SWEEP_INTERVAL)
            try:
                with self._runtime.absent.departures() as departed:
                    page = await self._runtime.store.read_unfinished(last, PAGE, self._runtime.timers.now())
            except StoreUnavailableError as error:
                log.warning("recovery waits: %s", error, extra={"action": "store_unavailable"})
                await asyncio.sleep(TROUBLE_DELAY)
                continue
            for saga_id, events in page:
                if saga_id not in departed:
                    count += self._resume(saga_id, events, stimuli.Recovered())
            if len(page) < PAGE:
                break
            last = page[-1][0]
        if count:
            log.info("resumed %d unfinished sagas", count, extra={"action": "recovered", "sagas": count})
        self._runtime.recovered = True
        self.recovered.set()

    def _resume(self, saga_id: str, events: list[Event], stimulus: stimuli.Stimulus) -> bool:
        """Goes on with a saga, unless it is live already. A log that cannot be read is left alone."""
        if self._runtime.live(saga_id) is not None:
            return False
        try:
            saga = rebuild(saga_id, events)
            if saga.state.ended:
                return False
            self._runtime.adopt(saga, stimulus)
        except BrokenLogError as error:
            self._note_broken(saga_id, error)
            return False
        return True

    def _note_broken(self, saga_id: str, error: BrokenLogError) -> None:
        self._metrics.broken_logs += 1
        log.error("%s; the saga is left alone", error, extra={"action": "broken_log", "saga_id": saga_id})

    # Sleep

    def _consider_sleep(self, live: Live) -> None:
        """Notes a saga that has nothing to do for a long time."""
        if self._is_drowsy(live):
            self._drowsy[live.saga.id] = live

    def _is_drowsy(self, live: Live) -> bool:
        """Whether a saga in memory has nothing to do for a long time."""
        if self._runtime.live(live.saga.id) is not live or live.unwritten or live.attempts:
            return False
        when = live.saga.wake_time()
        return when is None or when - self._runtime.timers.now() > SLEEP_HORIZON

    async def _sweep(self) -> None:
        await self._adopt_doubtful()
        await self._wake()
        await self._put_to_sleep()

    async def _put_to_sleep(self) -> None:
        """Has the sagas leave memory that have nothing to do."""
        # What somebody looks at stays, drowsy, until nobody does.
        self._drowsy = {saga_id: live for saga_id, live in self._drowsy.items() if self._is_drowsy(live)}
        sleepers = [(live, live.saga.sequence) for live in self._drowsy.values() if not live.observed]
        if not sleepers:
            return
        times = {live.saga.id: live.saga.wake_time() for live, _ in sleepers}
        await self._runtime.store.sleep(
            {key: NEVER if when is None else min(when, NEVER) for key, when in times.items()}
        )
        for live, sequence in sleepers:
            if live.saga.sequence == sequence and self._is_drowsy(live) and not live.observed:
                self._runtime.forget(live)

    async def _wake(self) -> None:
        """Wakes the sagas whose time has come."""
        now = self._runtime.timers.now()
        when = await self._runtime.store.next_wake_time()
        while when is not None and when <= now + SWEEP_INTERVAL:
            with self._runtime.absent.departures() as departed:
                page = await self._runtime.store.take_due(now + SWEEP_INTERVAL, PAGE)
            for saga_id, events in page:
                if saga_id not in departed:
                    self._resume(saga_id, events, stimuli.TimePassed())
            if len(page) < PAGE or self._runtime.full:
                break  # no more than a page at each sweep where there is no room, as in recovery

    async def _adopt_doubtful(self) -> None:
        """Looks up the starts that the store failed on: one that it holds after all must not stay unowned."""
        if self._runtime.journal.trouble is not None:
            return
        while (saga_id := self._runtime.absent.take_doubtful()) is not None:
            try:
                with self._runtime.absent.departures() as departed:
                    events = await self._runtime.store.read_log(saga_id)
            except BrokenLogError as error:
                self._note_broken(saga_id, error)
                continue
            except StoreUnavailableError:
                self._runtime.absent.doubt(saga_id)
                raise
            if events and saga_id not in departed:
                self._resume(saga_id, events, stimuli.Recovered())

    # Retention

    async def _remove(self) -> None:
        before = self._runtime.timers.now() - self._retention
        while True:
            removed = await self._runtime.store.remove_ended(before, REMOVAL_BATCH)
            self._metrics.removed += removed
            if removed < REMOVAL_BATCH:
                return
            await asyncio.sleep(0)


NEVER = 253_402_300_799.0
"""The last second of the year 9999: when a saga wakes that waits for an operator only."""
