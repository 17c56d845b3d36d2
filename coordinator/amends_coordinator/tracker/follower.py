"""Reads a bus: every event, from where it was read last, and what services announce."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from amends._bus.interface import Bus, Message
from amends._choreography.cloudevent import MalformedEventError
from amends_coordinator.store.tracking import Position, Tracking
from amends_coordinator.tracker.counts import Counts
from amends_coordinator.tracker.ledger import Ledger
from amends_coordinator.tracker.observation import Observation
from amends_coordinator.tracker.patience import Patience
from amends_coordinator.tracker.reading import DEAD_LETTER, OWN_PACKAGE, read_event, read_graph

log = logging.getLogger(__name__)

PAGE: Final = 100
"""Events taken in by one transaction, and sagas judged by one: commits of driven sagas wait for it, some
milliseconds."""


class Follower:
    """Gives the ledger what is read from the bus."""

    def __init__(
        self,
        store: Tracking,
        bus: Bus,
        ledger: Ledger,
        patience: Patience,
        counts: Counts,
        now: Callable[[], float],
    ) -> None:
        """Reads a bus that somebody else has opened; `now` tells the present moment."""
        self._store = store
        self._bus = bus
        self._ledger = ledger
        self._patience = patience
        self._counts = counts
        self._now = now
        self._position: Position | None = None
        self._announced: dict[str, bytes] = {}  # what the graph was read from
        self._asked_for: set[tuple[str, str]] = set()  # services and types that nobody had announced

    async def follow(self) -> None:
        """Reads on from where the bus was read before, for as long as that goes well.

        Raises:
            BusError, BusUnavailableError: the bus cannot be read.
            StoreUnavailableError: what was read could not be written, and will be read again.
        """
        self._patience.listening_since = None
        await self.look_at_services()
        if self._position is None:
            self._position = await self._find_position()
        await self._read(self._position, follow=False)
        self._patience.listening_since = self._now()
        await self._read(self._position, follow=True)

    async def _find_position(self) -> Position:
        """Where to go on; at the beginning, if the bus does not hold what was read last.

        It was begun anew then, or has forgotten. What is read twice for that is known by its id.
        """
        begin = Position(sequence=0, message_id="")
        last = await self._store.read_position(self._bus.url)
        if last is None:
            return begin
        pages = self._bus.read(last.sequence - 1, follow=False)
        try:
            async for page in pages:
                if page and (page[0][0], page[0][1].id) == (last.sequence, last.message_id):
                    return last
                break
        finally:
            await _close(pages)
        log.warning(
            "%s does not hold the event that was read last; it is read from its beginning",
            self._bus.url,
            extra={"action": "bus_begun_anew"},
        )
        return begin

    async def _read(self, position: Position, *, follow: bool) -> None:
        pages = self._bus.read(position.sequence, follow=follow)
        try:
            async for page in pages:
                for start in range(0, len(page), PAGE):
                    await self._take(page[start : start + PAGE])
        finally:
            await _close(pages)

    async def _take(self, page: Sequence[tuple[int, Message]]) -> None:
        """Takes in a page of messages, in one transaction."""
        heard = self._heard(message for _, message in page)
        await self._look_for(heard)
        sequence, message = page[-1]
        position = Position(sequence=sequence, message_id=message.id)
        now = self._now()
        await self._ledger.hear(heard, position, now)
        self._position = position
        self._counts.events += len(heard)
        if heard:
            self._counts.lag = max(0.0, now - heard[-1][1].time)

    def _heard(self, page: Iterable[Message]) -> list[tuple[str, Observation]]:
        """Reads the events of sagas in a page, each with its saga. Others are left alone."""
        heard, malformed = [], []
        for message in page:
            # Those about an event of no saga as well: somebody has to look at them too.
            self._counts.dead_letters += message.headers.get("ce-type") == DEAD_LETTER
            try:
                event = read_event(message)
            except MalformedEventError as error:
                malformed.append((message.id, error))
                continue
            if event is not None:
                heard.append(event)
        if malformed:
            self._counts.malformed += len(malformed)
            log.warning(
                "%d messages are no events, the first of them %.200s: %s",
                len(malformed),
                *malformed[0],
                extra={"action": "malformed_event"},
            )
        return heard

    # Services

    async def look_at_services(self) -> None:
        """Reads what services announce, and judges all unfinished sagas anew if it has changed.

        Raises:
            BusUnavailableError: the bus is away.
            StoreUnavailableError: the store cannot be used; sagas are judged at the next look.
        """
        self._asked_for.clear()
        await self._look()

    async def _look_for(self, heard: Iterable[tuple[str, Observation]]) -> None:
        """Looks again where an event comes from a service, or is of a type, that nobody has announced.

        Once: who never announces anything must not have us look for ever.
        """
        unknown = {
            (each.source, each.type)
            for _, each in heard
            if not each.type.startswith(OWN_PACKAGE) and not self._ledger.graph.knows(each.source, each.type)
        }
        if not unknown <= self._asked_for:
            await self._look()
            self._asked_for |= unknown

    async def _look(self) -> None:
        announced = dict(await self._bus.announced())
        if announced == self._announced:
            return
        self._ledger.graph = read_graph(announced)
        key, page = 0, [(0, "")]
        while page:
            page = await self._store.find_unfinished(key, PAGE)
            await self._ledger.judge([saga_id for _, saga_id in page], self._now())
            key = page[-1][0] if page else key
        self._announced = announced


async def _close(pages: AsyncIterator[object]) -> None:
    """Ends a reading at once, where that is possible: what it holds is given back."""
    if isinstance(pages, AsyncGenerator):
        await pages.aclose()
