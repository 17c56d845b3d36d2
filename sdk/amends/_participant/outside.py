"""Runs handlers whose effect lies outside the database, such as a payment provider's.

No transaction can hold such an effect, so three things happen one after another: the intent is committed, the
handler runs with the idempotency key to pass on, and its result is committed. Whatever dies in between, the
next attempt finds the intent and runs the handler again with the same key; the provider, knowing the key,
does the deed once. A Compensate that finds only the intent runs the compensation without a result, also
where the last attempt was rejected: an earlier one may have had the effect.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from amends._fence import Fence, Ledger, Row, State
from amends._fence.ledger import Key
from amends._participant.call import Call, Response, Work, conclude, prepare
from amends._participant.invocation import invoke, invoke_async
from amends._transactions import faults
from amends._transactions.gatherer import Gatherer, resolver
from amends.errors import Fault
from amends.v1 import participant_pb2 as pb

OUTSIDE_SECONDS_MAX: Final = 60.0
"""How long an async handler may take whose caller set no deadline."""

OUTSIDE_CALLS_MAX: Final = 1_000
"""How many external calls may be under way: each is a task, and most likely a connection to somewhere."""

_log = logging.getLogger("amends.participant")


class Outside:
    """Owns the tasks of external handlers that are under way, at most one for a key."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def submit(self, call: Call) -> None:
        """Has a call answered. A second one for a key at work is told to come back."""
        if call.key in self._tasks or len(self._tasks) >= OUTSIDE_CALLS_MAX:
            call.on_answer(faults.in_progress() if call.key in self._tasks else faults.overloaded())
            return
        task = asyncio.create_task(self._run(call), name=f"amends external {call.action.name}")
        self._tasks[call.key] = task

    async def close(self, grace: float) -> None:
        """Waits for handlers at work, at most `grace` seconds, then cancels them; their intent stays."""
        if not self._tasks:
            return
        tasks = list(self._tasks.values())
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, call: Call) -> None:
        answer: Response | Fault = faults.stopping()
        try:
            answer = await self._answer(call)
        except Fault as fault:
            answer = fault
        except Exception:
            _log.exception("an external call failed", extra=call.log_fields())
            answer = faults.internal()
        finally:
            # First of all: whoever gets the answer may call again at once.
            del self._tasks[call.key]
            call.on_answer(answer)

    async def _answer(self, call: Call) -> Response:
        intent = _Intent()
        response = await self._in_transaction(call, intent, deadline=call.deadline)
        work = intent.work
        if work is None:
            return response
        if work.handler.is_async:
            response = await invoke_async(call, work, None, _patience(call))
        else:
            response = await asyncio.to_thread(invoke, call, work, None)
        # No deadline any more: the effect is there, and is worth remembering whoever still waits.
        return await self._in_transaction(call, partial(_record, work=work, response=response), deadline=None)

    async def _in_transaction(
        self, call: Call, perform: Callable[[Ledger, Call], Response], *, deadline: float | None
    ) -> Response:
        """Does a part of a call in a transaction shared with whatever else arrives. Raises Fault."""
        waiter: asyncio.Future[Response | Fault] = asyncio.get_running_loop().create_future()
        part = _Part(call, perform, deadline=deadline, on_answer=resolver(waiter))
        self._gatherer.submit([part], in_thread=True)
        answer = await waiter
        if isinstance(answer, Fault):
            raise answer
        return answer


class _Part(Call):
    """What a call does in one transaction, while its handler runs in none."""

    __slots__ = ("_perform",)

    is_part = True

    def __init__(
        self,
        call: Call,
        perform: Callable[[Ledger, Call], Response],
        *,
        deadline: float | None,
        on_answer: Callable[[Response | Fault], None],
    ) -> None:
        super().__init__(call.request, call.action, deadline=deadline, on_answer=on_answer)
        self._perform = perform

    def perform(self, ledger: Ledger) -> Response:
        """Does the part. Raises Fault."""
        return self._perform(ledger, self)

    async def perform_async(self, fence: Fence) -> Response:
        """The same from the event loop."""
        return await fence.run(self.perform)


class _Intent:
    """Remembers, in a transaction, that a handler is about to run; `work` then says which."""

    def __init__(self) -> None:
        self.work: Work | None = None

    def __call__(self, ledger: Ledger, call: Call) -> Response:
        prepared = prepare(ledger, call)
        if not isinstance(prepared, Work):
            self.work = None
            return prepared
        self.work = prepared
        if call.forward and prepared.row is None:
            ledger.put(call.key, Row(State.INTENDED, call.action.name, prepared.input_hash, b""))
        return pb.TryResponse()  # given to nobody: the handler has the word


def _record(ledger: Ledger, call: Call, work: Work, response: Response) -> Response:
    """Remembers what the handler came to, unless another process has settled the step meanwhile."""
    row = ledger.get(call.key)
    if row is None or _is_unsettled(row, call):
        conclude(ledger, call, work, response)
        return response
    if call.forward:
        _log.error("another process settled the step while its handler ran", extra=call.log_fields())
    settled = prepare(ledger, call)
    assert not isinstance(settled, Work), "Invariant: a settled step runs no handler"
    return settled


def _is_unsettled(row: Row, call: Call) -> bool:
    if call.forward:
        return row.state is State.INTENDED and not row.answer
    return row.state in (State.INTENDED, State.TRIED)


def _patience(call: Call) -> float:
    return OUTSIDE_SECONDS_MAX if call.deadline is None else call.deadline - time.monotonic()
