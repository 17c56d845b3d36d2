"""The sagas that are followed: read from the store, taken a turn further, and written back."""

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from amends.v1 import event_pb2
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.store.tracking import Position, TrackedAppend, TrackedRow, Tracking
from amends_coordinator.tracker.counts import Counts
from amends_coordinator.tracker.graph import Graph
from amends_coordinator.tracker.messages import fact_to_proto, observation_from_proto
from amends_coordinator.tracker.observation import Observation
from amends_coordinator.tracker.patience import Patience
from amends_coordinator.tracker.saga import Ended, Fact, Stalled, TrackedSaga, conclude, hear, remember

log = logging.getLogger(__name__)

OBSERVATIONS_MAX: Final = 100_000
"""Events kept in memory, of the sagas heard of last: about 100 MB. Others are read from the store when they
are heard of again."""


class Ledger:
    """Takes sagas further, one turn at a time."""

    def __init__(
        self,
        store: Tracking,
        bus: str,
        patience: Patience,
        counts: Counts,
        *,
        told: Callable[[Collection[str]], None],
    ) -> None:
        """Keeps the sagas of a bus, and tells of which there is news once it is durable."""
        self.graph = Graph()
        self._store = store
        self._bus = bus
        self._patience = patience
        self._counts = counts
        self._told = told
        self._turn = asyncio.Lock()
        self._sagas: OrderedDict[str, TrackedSaga] = OrderedDict()  # the last is the one heard of last
        self._observations = 0  # of all of them

    async def hear(self, heard: Sequence[tuple[str, Observation]], position: Position, now: float) -> None:
        """Takes in events, each with its saga, and remembers how far the bus was read.

        Raises:
            StoreUnavailableError: nothing has changed.
        """
        async with self._turn:
            sagas = await self._take({saga_id for saga_id, _ in heard})
            facts: defaultdict[str, list[Fact]] = defaultdict(list)
            for saga_id, observation in heard:
                if (saga := sagas.get(saga_id)) is not None:
                    facts[saga_id] += hear(saga, observation, now)
            for saga_id, new in facts.items():
                if new:
                    new += conclude(sagas[saga_id], self.graph, now, silence="")
            await self._write(sagas, {saga_id: new for saga_id, new in facts.items() if new}, position)

    async def judge(self, ids: Iterable[str], now: float) -> int:
        """Judges sagas anew and counts those of which something has changed.

        Raises:
            StoreUnavailableError: nothing has changed.
        """
        async with self._turn:
            sagas = await self._take(set(ids))
            changed: dict[str, list[Fact]] = {}
            for saga in sagas.values():
                if not saga.observations:
                    continue  # it has been removed since
                before = saga.state, saga.needs_attention
                silence = self._patience.silence(saga, now)
                facts = conclude(saga, self.graph, now, silence=silence)
                if facts or before != (saga.state, saga.needs_attention):
                    changed[saga.id] = facts
            await self._write(sagas, changed, None)
            return len(changed)

    async def remove_ended(self, before: float, limit: int) -> int:
        """Removes up to ``limit`` sagas that ended before a moment, and counts them.

        Between two turns: one that is just heard of must not lose what its log begins with.

        Raises:
            StoreUnavailableError: nothing has changed.
        """
        async with self._turn:
            return await self._store.remove_ended(before, limit)

    async def _take(self, ids: Collection[str]) -> dict[str, TrackedSaga]:
        """Takes sagas out of memory, or reads them from the store; makes those that are in neither.

        They come back into memory once what became of them is durable, and not at all where something fails
        on the way. One whose log cannot be read is left out: the others must go on.
        """
        found: dict[str, TrackedSaga] = {}
        for saga_id in ids:
            if (saga := self._forget(saga_id)) is not None:
                found[saga_id] = saga
        absent = [saga_id for saga_id in ids if saga_id not in found]
        stored = await self._store.read_logs(absent) if absent else {}
        for saga_id in absent:
            if saga_id in stored:
                try:
                    found[saga_id] = rebuild(*stored[saga_id])
                except BrokenLogError as error:
                    log.error("%s", error, extra={"action": "broken_log", "saga_id": saga_id})
            else:
                found[saga_id] = TrackedSaga(id=saga_id)
        return found

    async def _write(
        self,
        sagas: dict[str, TrackedSaga],
        facts: dict[str, list[Fact]],
        position: Position | None,
    ) -> None:
        batch = [_append(sagas[saga_id], new) for saga_id, new in facts.items()]
        if batch or position is not None:
            await self._store.write(self._bus, position, batch)
        for saga in sagas.values():
            # One that ended is seldom heard of again, and may be removed from the store.
            if saga.observations and not saga.state.ended:
                self._keep(saga)
        for saga_id, new in facts.items():
            self._count(sagas[saga_id], new)
        self._told(facts.keys())

    def _keep(self, saga: TrackedSaga) -> None:
        self._sagas[saga.id] = saga
        self._observations += len(saga.observations)
        while self._observations > OBSERVATIONS_MAX:
            self._forget(next(iter(self._sagas)))

    def _forget(self, saga_id: str) -> TrackedSaga | None:
        saga = self._sagas.pop(saga_id, None)
        if saga is not None:
            self._observations -= len(saga.observations)
        return saga

    def _count(self, saga: TrackedSaga, facts: Iterable[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, Ended):
                self._counts.ended[fact.state.name.lower()] += 1
            elif isinstance(fact, Stalled):
                self._counts.stalled += 1
                extra = {"action": "saga_stalled", "saga_id": saga.id}
                log.warning("saga %s has stalled: %s", saga.id, fact.message, extra=extra)


def rebuild(row: TrackedRow, events: Sequence[bytes]) -> TrackedSaga:
    """Makes a saga of what the store holds.

    Raises:
        BrokenLogError: an event cannot be read.
    """
    saga = TrackedSaga(
        id=row.id,
        definition_name=row.definition_name,
        state=row.state,
        create_time=row.create_time,
        heard_time=row.heard_time,
        end_time=row.end_time,
        needs_attention=row.needs_attention,
        sequence=len(events),
    )
    for sequence, data in enumerate(events, start=1):
        event = read_fact(row.id, sequence, data)
        kind = event.WhichOneof("fact")
        if kind == "event_observed":
            remember(saga, observation_from_proto(event))
        elif kind == "compensation_started":
            saga.turned_back = True
    return saga


def read_fact(saga_id: str, sequence: int, data: bytes) -> event_pb2.Event:
    """Reads an event of a log, with its place. Raises BrokenLogError."""
    try:
        event = event_pb2.Event.FromString(data)
    except DecodeError as error:
        raise BrokenLogError(f"saga {saga_id}: event {sequence} cannot be read ({error})") from error
    event.saga_id, event.sequence = saga_id, sequence
    return event


def _append(saga: TrackedSaga, facts: Sequence[Fact]) -> TrackedAppend:
    first = saga.sequence + 1
    saga.sequence += len(facts)
    return TrackedAppend(
        row=TrackedRow(
            id=saga.id,
            definition_name=saga.definition_name,
            state=saga.state,
            create_time=saga.create_time,
            heard_time=saga.heard_time,
            end_time=saga.end_time,
            needs_attention=saga.needs_attention,
        ),
        first_sequence=first,
        events=[fact_to_proto(fact).SerializeToString() for fact in facts],
    )
