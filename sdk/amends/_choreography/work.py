"""Handlers that have to run in the middle of a transaction, and the jobs that run them.

What an event comes to is decided in one place, by a generator that works on the database and yields whenever
a handler has to run. A job drives it: a plain handler runs right there, in the connection's thread; a
coroutine runs in the event loop, between two hops into that thread. So there is one story for both.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from opentelemetry.context import Context as TraceContext

from amends._fence import Fence, Ledger
from amends._participant.tracing import within
from amends._transactions import faults
from amends._transactions.waiting import STOPS, wait_for_handler

ASYNC_HANDLER_SECONDS_MAX: Final = 5.0
"""How long an async handler may hold the write lock: everything else of its service waits for it."""


class Work(NamedTuple):
    """A handler that has to run."""

    is_async: bool
    call: Callable[[Any], Any]
    """Calls it with the connection that its transaction runs on."""


class Returned(NamedTuple):
    """What a handler returned."""

    value: Any


class Raised(NamedTuple):
    """What a handler raised."""

    error: BaseException


Answer: TypeAlias = Returned | Raised
Steps: TypeAlias = Generator[Work, Answer, Any]


class SteppedJob:
    """A job in a shared transaction, made of what a generator does between handlers."""

    __slots__ = ("_fields", "_give_up", "_steps", "_trace", "answer", "is_part", "on_answer")

    def __init__(
        self,
        steps: Callable[[Ledger], Steps],
        on_answer: Callable[[Any], None],
        fields: dict[str, object],
        trace: TraceContext | None,
        *,
        give_up: Callable[[Ledger], Any] = lambda _ledger: faults.transaction_lost(),
        is_part: bool = True,
    ) -> None:
        """Makes a job.

        Args:
            steps: what is done; given the ledger.
            on_answer: called with what it returns.
            give_up: what is done instead where that broke the transaction; what it returns is the answer.
            fields: the saga's context for a log record.
            trace: the trace context that handlers run in; None where nothing is traced.
            is_part: whether it is let in although there is no room: what it works on was bounded before.
        """
        self.is_part = is_part
        self._steps = steps
        self._give_up = give_up
        self._fields = fields
        self._trace = trace
        self.on_answer = on_answer
        self.answer: Any = None

    def perform(self, ledger: Ledger) -> Any:
        """Does all of it, in the connection's thread."""
        with within(self._trace):
            steps = self._steps(ledger)
            work = _advance(ledger, steps)
            while isinstance(work, Work):
                work = _advance(ledger, steps, _run(work, ledger.db))
        return work

    async def perform_async(self, fence: Fence) -> Any:
        """The same where handlers have to wait."""
        steps = await fence.run(self._steps)
        work = await self._run_in_thread(fence, partial(_advance, steps=steps))
        while isinstance(work, Work):
            if work.is_async:
                with within(self._trace):
                    answer = await _run_async(work, fence.async_db)
            else:
                answer = await self._run_in_thread(fence, partial(_run_plain, work=work))
            work = await self._run_in_thread(fence, partial(_advance, steps=steps, answer=answer))
        return work

    async def _run_in_thread(self, fence: Fence, work: Callable[[Ledger], Any]) -> Any:
        """Runs a piece in the connection's thread, to which a trace context does not come by itself."""

        def run(ledger: Ledger) -> Any:
            with within(self._trace):
                return work(ledger)

        return await fence.run(run)

    def give_up(self, ledger: Ledger) -> Any:
        """Writes down that it broke the transaction."""
        return self._give_up(ledger)

    def log_fields(self) -> dict[str, object]:
        """The saga's context for a log record. Never the payload."""
        return self._fields


def _advance(_ledger: Ledger, steps: Steps, answer: Answer | None = None) -> Any:
    """Goes on to the next handler, which is returned as Work, or to the end, and returns what came of it."""
    try:
        return next(steps) if answer is None else steps.send(answer)
    except StopIteration as end:
        return end.value


def _run(work: Work, db: Any) -> Answer:
    """Runs a plain handler. Raises only what ends the transaction, or the program."""
    try:
        return Returned(work.call(db))
    except STOPS:
        raise
    except BaseException as error:
        return _raised(error)


def _run_plain(ledger: Ledger, work: Work) -> Answer:
    return _run(work, ledger.db)


async def _run_async(work: Work, db: Any) -> Answer:
    try:
        return Returned(await wait_for_handler(partial(work.call, db), ASYNC_HANDLER_SECONDS_MAX))
    except STOPS:
        raise
    except BaseException as error:
        return _raised(error)


def _raised(error: BaseException) -> Raised:
    if faults.blames_store(error):
        raise error
    return Raised(error)
