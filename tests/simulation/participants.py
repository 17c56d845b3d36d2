"""Participants, with handlers of every kind that behave as the input of their step says.

Each keeps a ledger without any constraint: a line for every time an effect was applied or undone, in the
transaction that the fence has given it. The effect of an external action is kept by a provider outside.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from amends import Context, Participant, Pending, Refused, Rejected
from tests.simulation.process import Process

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY,
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    what TEXT NOT NULL
)
"""

ENTER = "INSERT INTO ledger (saga, step, what) VALUES (?, ?, ?)"


Changed = Callable[[str, str, str, str], None]
"""Told of an effect outside any database: by which node, of which saga and step, and what it is now."""


class Case(NamedTuple):
    """What a call is about, for those who have no context."""

    saga_id: str
    step: str


class Provider:
    """A service outside that knows idempotency keys: what it did for one, it does not do again."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._done: set[str] = set()
        self._undone: set[str] = set()

    def do(self, node: str, ctx: Context) -> None:
        """Does a deed, unless it was done."""
        if ctx.idempotency_key not in self._done:
            self._done.add(ctx.idempotency_key)
            self._changed(node, ctx.saga_id, ctx.step, "applied")

    def undo(self, node: str, ctx: Context) -> None:
        """Undoes a deed, if it was done and was not undone yet."""
        if ctx.idempotency_key in self._done - self._undone:
            self._undone.add(ctx.idempotency_key)
            self._changed(node, ctx.saga_id, ctx.step, "undone")


class Behaviour:
    """How handlers behave. It outlives processes, so that "the first three times" means just that."""

    def __init__(self) -> None:
        """Begins with everybody in the mood that their input says."""
        self.calm = False  # whether nothing is raised, refused or put off any more
        self._times: defaultdict[tuple[str, str, bool], int] = defaultdict(int)

    def meet(self, mood: dict[str, float], ctx: Context | Case, *, forward: bool) -> None:
        """Raises what a handler is in the mood for."""
        self._times[ctx.saga_id, ctx.step, forward] += 1
        times = self._times[ctx.saga_id, ctx.step, forward]
        undo = "" if forward else "_undo"
        raises, pends = mood["raises" + undo], mood["pends" + undo]
        if not self.calm and times <= raises:
            raise RuntimeError("a handler in a bad mood")
        if not self.calm and times <= raises + pends:
            raise Pending(mood["pause"])
        if not forward and not self.calm and times <= raises + pends + mood["refuses"]:
            raise Refused("NOT_NOW", "a handler in a bad mood")
        if forward and mood["rejects"]:
            raise Rejected("NEVER", "this handler rejects")

    async def take_time(self, mood: dict[str, float]) -> None:
        """Waits as long as a handler takes."""
        if mood["seconds"] and not self.calm:
            await asyncio.sleep(mood["seconds"])


async def participant(process: Process, address: str, behaviour: Behaviour, provider: Provider) -> None:
    """Runs one life of a participant. Raises StartError or StoreError where it cannot start."""
    node = process.node
    service = Participant(node, store=f"sqlite:///{process.disk.file}", schema=SCHEMA)

    @service.action(name="plain")
    def plain(mood: dict[str, Any], ctx: Context) -> dict[str, Any]:
        ctx.db.execute(ENTER, (ctx.saga_id, ctx.step, "applied"))
        behaviour.meet(mood, ctx, forward=True)
        return {"by": node}

    @plain.compensate
    def plain_undo(mood: dict[str, Any], _result: dict[str, Any] | None, ctx: Context) -> None:
        ctx.db.execute(ENTER, (ctx.saga_id, ctx.step, "undone"))
        behaviour.meet(mood, ctx, forward=False)

    @service.action(name="coroutine")
    async def coroutine(mood: dict[str, Any], ctx: Context) -> dict[str, Any]:
        await behaviour.take_time(mood)
        await ctx.db.execute(ENTER, (ctx.saga_id, ctx.step, "applied"))
        behaviour.meet(mood, ctx, forward=True)
        return {"by": node}

    @coroutine.compensate
    async def coroutine_undo(mood: dict[str, Any], _result: dict[str, Any] | None, ctx: Context) -> None:
        await ctx.db.execute(ENTER, (ctx.saga_id, ctx.step, "undone"))
        behaviour.meet(mood, ctx, forward=False)

    @service.action(name="external", external=True)
    async def external(mood: dict[str, Any], ctx: Context) -> dict[str, Any]:
        try:
            behaviour.meet(mood, ctx, forward=True)
        except Pending:
            if not mood["rejects"]:  # it is under way, whatever anybody hears of it
                provider.do(node, ctx)
            raise
        await behaviour.take_time(mood)
        provider.do(node, ctx)
        await behaviour.take_time(mood)
        return {"by": node}

    @external.compensate
    async def external_undo(mood: dict[str, Any], _result: dict[str, Any] | None, ctx: Context) -> None:
        behaviour.meet(mood, ctx, forward=False)
        provider.undo(node, ctx)

    @service.action(name="final")
    def final(mood: dict[str, Any], ctx: Context) -> dict[str, Any]:
        ctx.db.execute(ENTER, (ctx.saga_id, ctx.step, "applied"))
        behaviour.meet(mood, ctx, forward=True)
        return {"by": node}

    @service.action(name="final-external", external=True)
    async def final_external(mood: dict[str, Any], ctx: Context) -> dict[str, Any]:
        behaviour.meet(mood, ctx, forward=True)
        await behaviour.take_time(mood)
        provider.do(node, ctx)
        return {"by": node}

    await service._serve(address, None, 5.0)
