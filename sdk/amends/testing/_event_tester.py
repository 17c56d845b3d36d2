"""Gives events to a choreographed service in-process, and tells which events come of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from amends._bus.interface import Message
from amends._choreography import outbox
from amends._choreography.cloudevent import CloudEvent, read_message
from amends._choreography.disposition import Disposition
from amends._choreography.emission import new_event_id
from amends._choreography.engine import Engine
from amends._choreography.entering import Begun
from amends._choreography.reacting import connection_of
from amends._choreography.reaction import Reaction
from amends._choreography.service import EventService
from amends._choreography.types import name_of, name_of_value
from amends._ids import new_saga_id
from amends._payload import pack, unpack

T = TypeVar("T")
InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Told:
    """What came of an event."""

    disposition: str
    """"done", "duplicate", "waiting" (it is tried again), "parked" (behind an earlier one) or "dead"."""
    emitted: tuple[CloudEvent, ...]
    """The events that were put into the outbox, in order."""

    @property
    def types(self) -> list[str]:
        """The types of these events; "amends.v1.StepEnded" for a step that had nothing to say."""
        return [event.type for event in self.emitted]

    def events(self, expected: type[T]) -> list[T]:
        """The events of one class. Raises PayloadError if one cannot be read as that."""
        name = name_of(expected)
        return [unpack(event.payload, expected) for event in self.emitted if event.type == name]

    def event(self, expected: type[T]) -> T:
        """The one event of a class. Raises AssertionError if there is none, or more than one."""
        found = self.events(expected)
        assert len(found) == 1, f"expected one {name_of(expected)}, found {len(found)} among {self.types}"
        return found[0]


class EventTester:
    """Gives a service events as a bus would, without one.

    ::

        async with EventTester(inventory) as tester:
            told = await tester.deliver(OrderPlaced(sku="tea", pieces=2))
            assert told.event(StockReserved).pieces == 2
            await tester.deliver(PaymentFailed(reason="INSUFFICIENT_FUNDS"))
            assert (await tester.deliver(OrderPlaced(sku="tea", pieces=2))).types == []  # too late

    Events belong to one saga, ``saga_id``, unless they say otherwise. The service's store is opened on
    entering and closed on leaving; its bus is never touched.
    """

    def __init__(self, service: EventService) -> None:
        """Makes a tester; give the service a store that the test owns."""
        self._service = service
        self._last: Message | None = None
        self.saga_id = new_saga_id()

    def __repr__(self) -> str:
        return f"EventTester({self._service.name!r}, saga_id={self.saga_id!r})"

    async def __aenter__(self) -> Self:
        await self._service.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._service.stop()

    def new_saga(self) -> str:
        """Has the events from now on belong to another saga; returns its id."""
        self.saga_id = new_saga_id()
        return self.saga_id

    async def deliver(
        self, event: Any, *, saga_id: str | None = None, source: str = "test", event_id: str | None = None
    ) -> Told:
        """Delivers an event.

        Args:
            event: a protobuf message, a dataclass or a JsonEvent.
            saga_id: identifies the saga; None: the tester's own.
            source: the service that it comes from.
            event_id: identifies it within its source; None: one that was never used.
        """
        message = CloudEvent(
            id=event_id or new_event_id(),
            source=source,
            type=name_of_value(event),
            saga_id=saga_id or self.saga_id,
            payload=pack(event),
            time=time.time(),
        ).to_message()
        return await self.deliver_message(message)

    async def deliver_again(self) -> Told:
        """Delivers the last event once more, under the same id, as a bus may at any time."""
        assert self._last is not None, "nothing has been delivered yet"
        return await self.deliver_message(self._last)

    async def deliver_message(self, message: Message) -> Told:
        """Delivers a message as it is, whatever is in it."""
        self._last = message
        before = await self._last_number()
        disposition = await self._service.handle(message)
        return Told(disposition.value, await self._emitted_since(before))

    async def begin(
        self, entry: Reaction[InputT, ResultT], value: InputT, *, saga_id: str | None = None
    ) -> tuple[Begun, Told]:
        """Begins a saga by an entry; returns what its caller is given, and what came of it.

        Raises what `EventService.begin` raises.
        """
        before = await self._last_number()
        begun = await self._service.begin(entry, value, saga_id=saga_id or self.saga_id)
        return begun, Told(Disposition.DONE.value, await self._emitted_since(before))

    async def retry(self) -> list[str]:
        """Tries every waiting event again, whenever it would be due; returns what became of each."""
        return [disposition.value for disposition in await self._engine.retry_all()]

    async def _last_number(self) -> int:
        return await self._engine.read(lambda ledger: outbox.last_number(connection_of(ledger)))

    async def _emitted_since(self, number: int) -> tuple[CloudEvent, ...]:
        messages = await self._engine.read(lambda ledger: outbox.since(connection_of(ledger), number))
        return tuple(map(read_message, messages))

    @property
    def _engine(self) -> Engine:
        return self._service._opened()  # noqa: SLF001 - the kit is a friend of the service
