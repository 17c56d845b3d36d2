"""A service that takes part in choreographed sagas: reactions as decorated functions, on a bus."""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Never, Protocol, Self, TypeVar, overload

from amends import _loop, _payload
from amends._bus.interface import Bus, Message
from amends._bus.opening import bus_at
from amends._choreography.context import EventContext
from amends._choreography.disposition import Disposition
from amends._choreography.engine import Engine
from amends._choreography.entering import Begun
from amends._choreography.membership import Membership
from amends._choreography.problems import LETTER_ROOM
from amends._choreography.reacting import Reactor
from amends._choreography.reaction import Reaction, check_event, left_bare
from amends._choreography.retrying import backoff_of
from amends._choreography.saga_id import saga_id_fault
from amends._choreography.types import check_name
from amends._definition import Kind, Retry
from amends._fence import SqliteFence
from amends._fence.opening import explained
from amends._ids import ID_FORM, is_id
from amends._tracing.setting import exporting
from amends._transactions.retention import RETENTION_DEFAULT
from amends.errors import HandlerError, StartError, StoreError, UsageError
from amends.v1 import choreography_pb2

InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")

STOP_GRACE_S: Final = 10.0
"""How long a stopping service takes to finish the events that it has."""

DEFAULT_MAX_BYTES: Final = 1 << 20
"""What an event may take where there is no bus to ask, as in a test."""

BACKOFF_DEFAULT: Final = Retry()

_log = logging.getLogger("amends.choreography")


class ReactionDecorator(Protocol):
    """What `EventService.on(...)` and `entry(...)` return: turns a handler into a Reaction."""

    @overload
    def __call__(
        self, handler: Callable[[InputT, EventContext], Coroutine[Any, Any, ResultT]], /
    ) -> Reaction[InputT, ResultT]: ...
    @overload
    def __call__(
        self, handler: Callable[[InputT, EventContext], ResultT], /
    ) -> Reaction[InputT, ResultT]: ...


class EventService:
    """Reacts to events and emits its own, each effect at most once, with no coordinator.

    ::

        inventory = EventService("inventory", bus="sqlite:///bus.db", store="sqlite:///inventory.db")

        @inventory.on(OrderPlaced, fails_as=StockRefused)
        async def reserve(order: OrderPlaced, ctx: EventContext) -> StockReserved: ...

        @reserve.compensate_on(PaymentFailed)
        async def release(
            order: OrderPlaced, reserved: StockReserved | None, ctx: EventContext
        ) -> StockReleased: ...

        inventory.serve()

    Events are protobuf messages, dataclasses, or JSON with a name (`JsonEvent`). What a handler writes to
    `ctx.db`, what it emits, and the memory of the event commit together. What it returns is emitted. Raising
    `Rejected` undoes what it wrote and emits its `fails_as` event; any other exception undoes it too, and
    the event is tried again. After `retry.max_attempts` failures the event is dead: a dead letter says so,
    later events of the same saga wait, and all others go on.

    Plain `def` handlers run in the database's own thread, those of all events that arrived together in one
    transaction, and are much faster. As soon as one handler is `async def`, all take turns in the event loop;
    one that takes longer than 5 seconds is cancelled and tried again.

    Args:
        name: what the service is called on the bus; its durable consumer too. Processes of one service share
            it, and the store.
        bus: where events are: "sqlite:///bus.db", or "nats://host:4222" with the extra `nats`.
        store: where effects, fence, inbox and outbox are: "sqlite:///relative.db" or "sqlite:////absolute.db".
        schema: SQL that makes the service's tables, run at every start, so write IF NOT EXISTS.
        retention: how long fence and inbox remember; at least 7 days longer than the bus keeps events.
        retry: how events that failed are tried again; by default 20 times, after 0.1 s and up to 30 s.
        relay: whether this process publishes what is in the outbox; if not, `amends relay` has to.

    Raises:
        UsageError: an argument has another form.
    """

    def __init__(
        self,
        name: str,
        *,
        bus: str,
        store: str,
        schema: str = "",
        retention: timedelta = RETENTION_DEFAULT,
        retry: Retry = BACKOFF_DEFAULT,
        relay: bool = True,
    ) -> None:
        if not is_id(name):
            raise UsageError(f"a service is named {name!r}; a name has {ID_FORM}")
        if not isinstance(retention, timedelta):
            raise UsageError(
                f"retention is {retention!r}, and must be a timedelta, such as timedelta(days=90)"
            )
        if not isinstance(retry, Retry):
            raise UsageError(f"retry is {retry!r}, and must be a Retry, such as Retry(max_attempts=3)")
        self.name = name
        self._store = store
        self._path = store_path(store)
        self._schema = schema
        self._bus: Bus = bus_at(bus)
        self._retention = retention
        self._retry = retry
        self._relays = relay
        self._reactions: dict[str, Reaction[Any, Any]] = {}
        self._engine: Engine | None = None

    def on(
        self,
        event: Any,
        /,
        *,
        fails_as: Any = None,
        name: str | None = None,
        kind: Kind | str = Kind.COMPENSATABLE,
        effect_free: bool = False,
        emits: Iterable[Any] = (),
    ) -> ReactionDecorator:
        """Declares a handler `(event, ctx: EventContext) -> event or None` as a reaction, as a decorator.

        Args:
            event: the class of the event, or its name where the handler takes JSON.
            fails_as: the type of event that tells of a `Rejected`: with a field `reason` and, where it likes,
                `message` and `metadata`.
            name: names the step. Default: the function's name.
            kind: which way out of the saga it leaves open. After a PIVOT a saga only goes forward; a
                RETRIABLE one comes after it.
            effect_free: whether there is nothing to undo.
            emits: types of event that the handler passes to `ctx.emit`; what it returns is known by its
                annotation.

        Raises:
            HandlerError: no event can be of this type, the handler has another form, or the name is taken.
        """
        check_event(event, "@service.on(<event>)")
        return self._declaring(
            on=event, fails_as=fails_as, name=name, kind=kind, effect_free=effect_free, emits=emits
        )

    def entry(
        self,
        *bare: Never,
        fails_as: Any = None,
        name: str | None = None,
        kind: Kind | str = Kind.COMPENSATABLE,
        effect_free: bool = False,
        emits: Iterable[Any] = (),
    ) -> ReactionDecorator:
        """Declares a handler that sagas begin by, called through `begin`. Takes the arguments of `on`.

        Raises:
            HandlerError: the parentheses are left out, the handler has another form, or the name is taken.
        """
        if bare:
            raise left_bare(bare[0], "@service.entry()")
        return self._declaring(
            on=None, fails_as=fails_as, name=name, kind=kind, effect_free=effect_free, emits=emits
        )

    async def begin(
        self, entry: Reaction[InputT, ResultT], value: InputT, *, saga_id: str | None = None
    ) -> Begun:
        """Begins a saga by one of the service's entries; durable when this returns.

        The same call again, with the same id and value, does nothing and returns the same.

        Args:
            entry: the entry.
            value: what its handler is called with.
            saga_id: identifies the saga: 1 to 128 printable characters without spaces; None makes a UUIDv7.

        Raises:
            Rejected: the entry turned it down.
            Fault: the id was used for something else (KEY_REUSED), or the database takes nothing now.
            UsageError: the id has another form, or the event that follows cannot leave.
            Exception: whatever else the handler raises; nothing has happened then.
        """
        if self._reactions.get(entry.name) is not entry or entry.on:
            raise UsageError(f"{entry!r} is no entry of service {self.name!r}")
        fault = "" if saga_id is None else saga_id_fault(saga_id)
        if fault:
            raise UsageError(f"saga_id {fault}")
        return await self._opened().begin(entry, _payload.pack(value), saga_id)

    def serve(
        self, *, grace: float = STOP_GRACE_S, alongside: AbstractAsyncContextManager[Any] | None = None
    ) -> None:
        """Consumes and publishes until SIGTERM or SIGINT, then finishes the events that it has and returns.

        Exports spans where the standard OTEL_* variables ask for it and the extra `tracing` is installed.

        Prints to standard output which bus it listens to. If it cannot start it says why, in one line, and
        exits with status 1; likewise if it cannot go on later.

        Args:
            grace: the seconds to take for the events under way.
            alongside: what else the process does, such as a server by which sagas begin. It is entered in the
                event loop of the service, once that consumes and publishes, and left before that stops.
        """
        try:
            with exporting(self.name):
                _loop.run(self._serve(grace, alongside or nullcontext()))
        except (StartError, UsageError) as error:
            sys.stderr.write(f"{self.name}: {error}\n")
            raise SystemExit(1) from None

    async def start(self) -> None:
        """Begins to consume and publish within a running event loop.

        Where the bus is away it starts all the same: what is emitted waits in the outbox.

        Raises:
            HandlerError: a reaction has nothing that undoes it.
            StoreError: the store cannot be used.
            StartError: the bus cannot be used, or another database has the service's name there.
        """
        await self.open()
        if not self._reactions:
            _log.warning(
                "service %s reacts to nothing and no saga begins at it: import the modules that declare its "
                "reactions before it starts",
                self.name,
                extra={"service": self.name},
            )
        try:
            await self._opened().join(self._bus, Membership(self.describe()), relays=self._relays)
        except sqlite3.Error as error:
            await self.stop(0.0)
            raise StoreError(explained(self._path, error)) from error
        except BaseException:
            await self.stop(0.0)
            raise

    async def stop(self, grace: float = STOP_GRACE_S) -> None:
        """Finishes the events under way, for at most `grace` seconds, and closes bus and store."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close(grace)

    async def open(self) -> None:
        """Opens the store, so that `handle` and `begin` work without a bus; `stop` closes it again.

        Raises:
            HandlerError: a reaction has nothing that undoes it.
            StoreError: the store cannot be used.
            UsageError: it is open already.
        """
        if self._engine is not None:
            raise UsageError(f"service {self.name!r} is open already")
        reactions = list(self._reactions.values())
        for reaction in reactions:
            reaction.check()
        reactor = Reactor(self.name, reactions, max_bytes=self._max_bytes, backoff=backoff_of(self._retry))
        fence = SqliteFence(self._path, schema_of_services() + self._schema)
        await fence.open()
        self._engine = Engine(fence, reactor, reactions, self._retention)

    async def handle(self, message: Message) -> Disposition:
        """Deals with one event as if the bus had delivered it; says what became of it.

        Raises:
            Fault: the database takes nothing at the moment.
        """
        return await self._opened().handle(message)

    def describe(self) -> choreography_pb2.ServiceDescription:
        """Says what the service reacts to, as it announces it on the bus."""
        reactions = [self._reactions[name].describe() for name in sorted(self._reactions)]
        return choreography_pb2.ServiceDescription(service=self.name, reactions=reactions)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        state = "open" if self._engine else "closed"
        return (
            f"<EventService {self.name} bus={self._bus.url} store={self._store} "
            f"reactions={len(self._reactions)} {state}>"
        )

    def _declaring(self, **options: Any) -> ReactionDecorator:
        def declare(function: Callable[[Any, EventContext], Any]) -> Reaction[Any, Any]:
            reaction: Reaction[Any, Any] = Reaction(function, **options)
            check_name(reaction.name)
            if reaction.name in self._reactions:
                raise HandlerError(f"service {self.name!r} has a reaction {reaction.name!r} already")
            self._reactions[reaction.name] = reaction
            return reaction

        return declare

    def _max_bytes(self) -> int:
        return max(self._bus.max_bytes, 2 * LETTER_ROOM)

    def _opened(self) -> Engine:
        if self._engine is None:
            raise UsageError(f"service {self.name!r} is not open: start it, or enter it with `async with`")
        return self._engine

    async def _serve(self, grace: float, alongside: AbstractAsyncContextManager[Any]) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self.start()
        try:
            async with alongside:
                print(f"{self.name}: listening on {self._bus.url}", flush=True)  # noqa: T201 - who started it waits for this
                await self._until(stopped)
        finally:
            await self.stop(grace)

    async def _until(self, stopped: asyncio.Event) -> None:
        """Waits until the process is to stop. Raises StartError if the service cannot go on before."""
        told = asyncio.create_task(stopped.wait())
        broken = asyncio.create_task(self._opened().ended())
        await asyncio.wait([told, broken], return_when=asyncio.FIRST_COMPLETED)
        failed = broken.done()
        told.cancel()
        broken.cancel()
        if failed:
            broken.result()
            raise StartError("stopped, since it could not go on; its log tells why")


def schema_of_services() -> str:
    """The script that makes inbox and outbox."""
    return resources.files("amends._choreography").joinpath("schema.sql").read_text("utf-8")


def store_path(store: str) -> Path:
    """The file that a store's URL names. Raises UsageError for another form."""
    scheme, separator, path = store.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise UsageError(f"store is {store!r}, and must be 'sqlite:///<path>'")
    return Path(path)
