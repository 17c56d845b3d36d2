"""What runs while a participant is open: takes calls in, and hands each to what its handler needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from opentelemetry.context import Context as TraceContext

from amends._fence import Fence
from amends._participant import tracing
from amends._participant.action import Action
from amends._participant.call import Request, Response
from amends._participant.door import admit
from amends._participant.outside import Outside
from amends._participant.performing import FencedCall
from amends._transactions.gatherer import Gatherer, resolver
from amends._transactions.retention import sweep_for_ever
from amends.errors import Fault


class Incoming(NamedTuple):
    """A call as it arrives."""

    request: Request
    timeout: float | None
    """The seconds until the caller stops waiting; None if it never does."""
    on_answer: Callable[[Response | Fault], None]
    """Called once, in the event loop."""
    trace: TraceContext | None


class Engine:
    """Owns the open fence and every task around it."""

    def __init__(self, fence: Fence, actions: Mapping[str, Action[Any, Any]], retention: timedelta) -> None:
        self._fence = fence
        self._actions = actions
        self._gatherer = Gatherer(fence)
        self._outside = Outside(self._gatherer)
        self._sweeper = asyncio.create_task(sweep_for_ever(self._gatherer, retention), name="amends sweeper")

    @classmethod
    async def open(
        cls, fence: Fence, actions: Mapping[str, Action[Any, Any]], retention: timedelta
    ) -> Engine:
        """Opens the fence and begins. Raises StoreError."""
        await fence.open()
        return cls(fence, actions, retention)

    def submit(self, arrivals: Iterable[Incoming]) -> None:
        """Has calls answered, those that came together in one transaction where that can be."""
        plain: list[FencedCall] = []
        coroutines: list[FencedCall] = []
        now = time.monotonic()
        for arrival in arrivals:
            request, timeout, on_answer, trace = arrival
            try:
                action = admit(request, self._actions)
            except Fault as fault:
                on_answer(fault)
                continue
            deadline = None if timeout is None else now + timeout
            call = FencedCall(request, action, deadline=deadline, on_answer=on_answer, trace=trace)
            handler = call.handler
            if action.external:
                self._outside.submit(call)
            elif handler is not None and handler.is_async:
                coroutines.append(call)
            else:
                plain.append(call)
        self._gatherer.submit(plain, in_thread=True)
        self._gatherer.submit(coroutines, in_thread=False)

    async def answer(self, request: Request, timeout: float | None) -> Response | Fault:
        """Answers one call."""
        waiter: asyncio.Future[Response | Fault] = asyncio.get_running_loop().create_future()
        self.submit([Incoming(request, timeout, resolver(waiter), tracing.current())])
        return await waiter

    async def ended(self) -> None:
        """Waits until no calls are answered any more: after `close`, or because something went very wrong."""
        await self._gatherer.ended()

    async def close(self, grace: float) -> None:
        """Answers what was taken in, and closes the fence; external handlers get at most `grace` seconds."""
        self._sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeper
        await self._outside.close(grace)
        await self._gatherer.close()
        await self._fence.close()
