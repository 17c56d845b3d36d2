"""The journal: facts of all live sagas, committed together.

One task commits. While a commit runs, what is written next gathers, and goes into the following commit:
one fsync for all, and nobody waits on a timer for a batch.

When the store cannot be written, whatever may be given back to its caller is given back, and everything
else is kept, in order, and tried again until there is room: a fact that a participant reported is not lost
because a disk was full.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from amends_coordinator.store.interface import Append, ConflictError, Store, StoreError, StoreUnavailableError

log = logging.getLogger(__name__)

MAX_BATCH = 1_024
"""Appends of one commit. Beyond this a commit saves nothing more and only delays those who wait for it."""

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""Bytes of one commit, by the weight of its entries: those who wait for it wait a moment, and the store is
never handed more than it can take in one piece. An entry that alone weighs more is a batch by itself."""

RETRY_DELAY = 0.25
"""Seconds between attempts to write to a store that fails: soon enough for whoever waits, rare enough for
a disk that is full."""


class Entry(Protocol):
    """Something to be made durable, and told of it."""

    @property
    def append(self) -> Append | None:
        """What to write. None makes it a barrier: done once everything written before it is durable."""

    @property
    def weight(self) -> int:
        """About how many bytes there are to write."""

    @property
    def wanted(self) -> bool:
        """Whether it may still be written. An entry of a saga that was let go of is failed instead."""

    @property
    def keep(self) -> bool:
        """Whether to keep it, and try again, while the store is unavailable."""

    def done(self) -> None:
        """It is durable."""

    def failed(self, error: StoreError) -> None:
        """It is not, and never will be."""


class Journal:
    """Makes entries durable in the order in which they were written."""

    def __init__(self, store: Store, observe: Callable[[int, float], None]) -> None:
        """Makes a journal on a store; ``observe`` is told the size and the seconds of each commit."""
        self._store = store
        self._observe = observe
        self._entries: deque[Entry] = deque()
        self._work = asyncio.Event()
        self._singly = 0  # batches to come that hold one entry only
        self._idle = asyncio.Event()
        self._idle.set()
        self.trouble: str | None = None  # why the store cannot be written at the moment

    def __len__(self) -> int:
        return len(self._entries)

    def write(self, entry: Entry) -> None:
        """Takes an entry; it is told later."""
        self._entries.append(entry)
        self._work.set()
        self._idle.clear()

    async def until_idle(self) -> None:
        """Waits until everything that was written is durable."""
        await self._idle.wait()

    async def run(self) -> None:
        """Commits until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._entries:
                self._idle.set()
                if self.trouble is not None:
                    await self._probe()
                    continue
                self._work.clear()
                await self._work.wait()
            batch = self._take()
            appends = [entry.append for entry in batch if entry.append is not None]
            started = loop.time()
            try:
                conflicts = await self._store.append(appends) if appends else []
            except StoreUnavailableError as error:
                self._give_back(batch, error)
                await asyncio.sleep(RETRY_DELAY)
                continue
            except Exception as error:  # a mistake of ours, or a limit of the store
                self._isolate(batch, error)
                continue
            if appends:
                self._observe(len(appends), loop.time() - started)
            if any(conflict is None for conflict in conflicts):  # otherwise nothing was written
                self._recovered()
            self._tell(batch, conflicts)

    def _take(self) -> list[Entry]:
        """Takes the next batch from the queue, and fails what must not be written any more."""
        batch: list[Entry] = []
        weight, most = 0, MAX_BATCH
        if self._singly:
            self._singly, most = self._singly - 1, 1
        while self._entries and len(batch) < most:
            weight += self._entries[0].weight
            if batch and weight > MAX_BATCH_BYTES:
                break
            entry = self._entries.popleft()
            if entry.append is None or entry.wanted:
                batch.append(entry)
            else:
                # It was decided before the saga was lost: its owner may have made room for it (P9).
                _guard(entry.failed, ConflictError(entry.append.saga_id, entry.append.first_sequence))
        return batch

    async def _probe(self) -> None:
        """Finds out whether there is room again when nobody has anything to write: wishes are refused while
        there is trouble, and so would never end it."""
        try:
            await self._store.probe()
        except Exception as error:  # one that is no fault of the world must not end the journal either
            self._in_trouble(error)
            await asyncio.sleep(RETRY_DELAY)
        else:
            self._recovered()

    def _in_trouble(self, error: Exception) -> None:
        if self.trouble is None:
            log.error("the store cannot be written: %s", error, extra={"action": "store_unavailable"})
        self.trouble = str(error)

    def _recovered(self) -> None:
        if self.trouble is not None:
            log.warning("the store can be written again", extra={"action": "store_recovered"})
            self.trouble = None

    def _give_back(self, batch: list[Entry], error: StoreUnavailableError) -> None:
        self._in_trouble(error)
        everything = [*batch, *self._entries]
        self._entries = deque(entry for entry in everything if entry.keep)
        for entry in everything:
            if not entry.keep:
                _guard(entry.failed, error)

    def _isolate(self, batch: list[Entry], error: Exception) -> None:
        """Has a batch that the store choked on written entry by entry, so that only the culprit fails."""
        if len(batch) > 1:
            log.warning(
                "a commit failed; writing it entry by entry: %r", error, extra={"action": "batch_failed"}
            )
            self._entries.extendleft(reversed(batch))
            self._singly = len(batch)
            return
        log.error("the store cannot take an entry", exc_info=error, extra={"action": "internal_error"})
        _guard(batch[0].failed, StoreError(f"the store cannot take it: {error!r}"))

    def _tell(self, batch: list[Entry], conflicts: Iterable[ConflictError | None]) -> None:
        found = iter(conflicts)
        for entry in batch:
            conflict = next(found) if entry.append is not None else None
            if conflict is None:
                _guard(entry.done)
            else:
                _guard(entry.failed, conflict)


def _guard(callback: Callable[..., None], *arguments: object) -> None:
    """Calls back, so that a mistake of ours in one saga's affairs cannot stop the commits of all others."""
    try:
        callback(*arguments)
    except Exception:
        log.exception("a callback of the journal failed", extra={"action": "internal_error"})
