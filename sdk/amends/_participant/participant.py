"""A service that takes part in sagas: actions as decorated functions, served over gRPC."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Collection, Coroutine
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar, overload

from amends import _loop
from amends._fence import Fence, MemoryFence, SqliteFence
from amends._participant import tracing
from amends._participant.action import Action, ActionDecorator
from amends._participant.context import Context
from amends._participant.declared import DeclaredActions, declare
from amends._participant.engine import Engine
from amends._participant.exchange import ExchangeStream
from amends._participant.server import Server, ServerTls
from amends._participant.service import ParticipantService
from amends._transactions.retention import RETENTION_DEFAULT, RETENTION_MIN
from amends.errors import Fault, HandlerError, StartError, UsageError
from amends.v1 import participant_pb2 as pb

InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")

STOP_GRACE_S: Final = 10.0
"""How long a stopping server waits for calls under way: a coordinator's default patience with one call."""


class Participant:
    """Offers actions that sagas can try and compensate, each effect at most once.

    ::

        payments = Participant("payments", store="sqlite:///payments.db", schema="CREATE TABLE ...")

        @payments.action
        async def charge(order: Order, ctx: Context) -> Charge: ...

        @charge.compensate
        async def refund(order: Order, charge: Charge | None, ctx: Context) -> None: ...

        payments.serve("0.0.0.0:50052")

    A handler is `async def`, or plain `def` where it does nothing but talk to its database, which is much
    faster: plain handlers run in the database's own thread, those of all calls that arrived together in one
    transaction. Async handlers take turns in one transaction too, and hold the database's write lock while
    they wait: one that takes longer than 5 seconds, or than its caller waits, is cancelled and rolled back. A
    plain handler is not interrupted; if its caller has gone, its effect is kept and the next attempt gets its
    answer. What waits for other services belongs into an action with `external=True`, which runs outside any
    transaction and without `ctx.db`.

    Args:
        name: what the participant calls itself.
        store: where effects and fence are kept: "sqlite:///relative.db", "sqlite:////absolute.db", or
            "memory:" for tests, which has no `ctx.db`.
        schema: SQL that makes the participant's tables, run at every start, so write IF NOT EXISTS; for
            "sqlite:" only.
        fence_retention: how long the fence remembers a step after its last change; at least 7 days. A call
            that is repeated later than that has its effect again.

    Raises:
        UsageError: an argument has another form.
    """

    def __init__(
        self, name: str, *, store: str, schema: str = "", fence_retention: timedelta = RETENTION_DEFAULT
    ) -> None:
        if fence_retention < RETENTION_MIN:
            raise UsageError(
                f"fence_retention is {fence_retention}, and must be at least {RETENTION_MIN}: "
                "a call repeated after it has its effect again"
            )
        self.name = name
        self._store = store
        self._fence = _fence_at(store, schema)
        self._retention = fence_retention
        self._actions: dict[str, Action[Any, Any]] = {}
        self._engine: Engine | None = None
        self._server: Server | None = None

    @overload
    def action(
        self, handler: Callable[[InputT, Context], Coroutine[Any, Any, ResultT]], /
    ) -> Action[InputT, ResultT]: ...
    @overload
    def action(self, handler: Callable[[InputT, Context], ResultT], /) -> Action[InputT, ResultT]: ...
    @overload
    def action(
        self, /, *, name: str | None = None, external: bool = False, description: str | None = None
    ) -> ActionDecorator: ...
    def action(
        self,
        handler: Callable[[Any, Context], Any] | None = None,
        /,
        *,
        name: str | None = None,
        external: bool = False,
        description: str | None = None,
    ) -> object:
        """Declares a handler `(input, ctx: Context) -> result` as an action, as a decorator.

        Args:
            handler: the function, where the decorator is used without arguments.
            name: what steps call the action by. Default: the function's name.
            external: whether the effect lies outside the database. The intent is then committed first, the
                handler runs outside any transaction and passes `ctx.idempotency_key` on, and its result is
                committed after; it may run again with the same key.
            description: says in a sentence what the action does. Default: the docstring's first line.

        Raises:
            HandlerError: the handler has another form, or the name is taken.
        """

        def declare(function: Callable[[Any, Context], Any]) -> Action[Any, Any]:
            action: Action[Any, Any] = Action(function, name=name, external=external, description=description)
            if action.name in self._actions:
                raise HandlerError(f"participant {self.name!r} has an action {action.name!r} already")
            self._actions[action.name] = action
            return action

        return declare if handler is None else declare(handler)

    def offer(self, actions: DeclaredActions, *, external: Collection[str] = ()) -> None:
        """Declares the actions of an annotated service, as a class that was generated from its .proto file.

        Args:
            actions: what handles them: an instance of a subclass of the generated class.
            external: names the actions whose effect lies outside the database, as in `action`.

        Raises:
            HandlerError: a handler has another form than was declared, a name is taken, or `external` names
                no action.
        """
        declare(actions, external, self.action)

    def serve(self, address: str, *, tls: ServerTls | None = None, grace: float = STOP_GRACE_S) -> None:
        """Serves until SIGTERM or SIGINT, then finishes the calls under way and returns.

        Exports spans where the standard OTEL_* variables ask for it and the extra `tracing` is installed.

        Prints where it listens to standard output. If it cannot start it says why, in one line, and exits
        with status 1; likewise if something keeps it from answering calls later on.

        Args:
            address: where to listen, such as "0.0.0.0:50052"; port 0 takes any free one.
            tls: the certificates to serve with; None serves in plain text.
            grace: the seconds to wait for calls under way.
        """
        try:
            with tracing.exporting(self.name):
                _loop.run(self._serve(address, tls, grace))
        except StartError as error:
            sys.stderr.write(f"{self.name}: {error}\n")
            raise SystemExit(1) from None

    async def start(self, address: str, *, tls: ServerTls | None = None) -> int:
        """Starts serving within a running event loop, and returns the port.

        Raises:
            StartError: the address cannot be listened at, or a certificate not be read.
            StoreError: the store cannot be used.
        """
        await self.open()
        server = Server(ParticipantService(self._opened(), self.describe))
        try:
            port = await server.start(address, tls)
        except BaseException:
            await self.stop(0.0)
            raise
        self._server = server
        return port

    async def stop(self, grace: float = STOP_GRACE_S) -> None:
        """Finishes the calls under way, for at most `grace` seconds, and closes the store."""
        end = time.monotonic() + grace
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace)
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close(max(0.0, end - time.monotonic()))

    async def open(self) -> None:
        """Opens the store, so that the `handle_` methods work without a server; `stop` closes it again.

        Raises:
            StoreError: the store cannot be used.
            UsageError: it is open already.
        """
        if self._engine is not None:
            raise UsageError(f"participant {self.name!r} is open already")
        self._engine = await Engine.open(self._fence, self._actions, self._retention)

    async def handle_try(self, request: pb.TryRequest, *, timeout: float | None = None) -> pb.TryResponse:
        """Answers a Try as the RPC would, without a server.

        Args:
            request: what the RPC would carry.
            timeout: the seconds until the caller stops waiting; None if it never does.

        Raises:
            Fault: where the RPC would fail.
        """
        answer = await self._opened().answer(request, timeout)
        if isinstance(answer, Fault):
            raise answer
        assert isinstance(answer, pb.TryResponse)
        return answer

    async def handle_compensate(
        self, request: pb.CompensateRequest, *, timeout: float | None = None
    ) -> pb.CompensateResponse:
        """Answers a Compensate, like `handle_try`."""
        answer = await self._opened().answer(request, timeout)
        if isinstance(answer, Fault):
            raise answer
        assert isinstance(answer, pb.CompensateResponse)
        return answer

    async def handle_batch(self, request: pb.ExchangeRequest) -> pb.ExchangeResponse:
        """Answers a batch of calls as an Exchange would, with every reply in one message of any size."""
        stream = ExchangeStream(self._opened())
        return await stream.answer(request)

    def describe(self) -> pb.DescribeResponse:
        """Lists the actions, as the RPC Describe does."""
        actions = [self._actions[name].describe() for name in sorted(self._actions)]
        return pb.DescribeResponse(participant=self.name, actions=actions)

    async def __aenter__(self) -> Participant:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        state = "open" if self._engine else "closed"
        return f"<Participant {self.name} store={self._store} actions={len(self._actions)} {state}>"

    def _opened(self) -> Engine:
        if self._engine is None:
            raise UsageError(
                f"participant {self.name!r} is not open: start it, or enter it with `async with`"
            )
        return self._engine

    async def _serve(self, address: str, tls: ServerTls | None, grace: float) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        port = await self.start(address, tls=tls)
        print(f"{self.name}: listening on {address.rpartition(':')[0]}:{port}", flush=True)  # noqa: T201
        told = asyncio.create_task(stopped.wait())
        broken = asyncio.create_task(self._opened().ended())
        await asyncio.wait([told, broken], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        await self.stop(grace)
        await broken
        if not stopped.is_set():
            raise StartError("stopped, since it could not answer calls any more; its log tells why")


def _fence_at(store: str, schema: str) -> Fence:
    if store == "memory:":
        if schema:
            raise UsageError("a schema needs a database; the store is 'memory:'")
        return MemoryFence()
    scheme, separator, path = store.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise UsageError(f"store is {store!r}, and must be 'sqlite:///<path>' or 'memory:'")
    return SqliteFence(Path(path), schema)
