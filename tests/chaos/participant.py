"""A participant process of the chaos: a plain, an async and an external action, which stumble when told to.

``python -m tests.chaos.participant NAME ADDRESS STORE PROVIDER SEED exchange|unary``

What a handler raises it raises after it wrote into its ledger, so the line must go.
"""

import asyncio
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from amends import Context, Participant, Pending, Refused, Rejected
from tests.chaos.provider import Provider
from tests.integration.ledger import offer_no_exchange
from tests.promises.ledgers import INSERT, SCHEMA, line_of, new_deed

Wishes = dict[str, Any]
"""A step's input: what happens how likely, as `errands` draws it."""


class MisfortuneError(Exception):
    """What a handler raises that fails for no reason: its traceback is in the log, and means no harm."""


class Stumbles:
    """Has handlers fail as likely as their input says."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def forward(self, wishes: Wishes) -> None:
        """May end a Try otherwise than with success."""
        if self._befalls(wishes, "fail"):
            raise MisfortuneError
        if self._befalls(wishes, "pend"):
            raise Pending(self._chance.uniform(0.05, 0.2))
        if self._befalls(wishes, "reject"):
            raise Rejected("NOT_TODAY", "as the errand wished")

    def backward(self, wishes: Wishes) -> None:
        """May end a Compensate likewise."""
        if self._befalls(wishes, "fail"):
            raise MisfortuneError
        if self._befalls(wishes, "pend"):
            raise Pending(self._chance.uniform(0.05, 0.2))
        if self._befalls(wishes, "refuse"):
            raise Refused("NOT_TODAY", "as the errand wished")

    def _befalls(self, wishes: Wishes, what: str) -> bool:
        return self._chance.random() < float(wishes.get(what, 0.0))


def build(name: str, store: str, provider: Provider, chance: Random) -> Participant:
    """Makes the participant."""
    participant = Participant(name, store=store, schema=SCHEMA)
    stumbles = Stumbles(chance)

    @participant.action
    def plain(wishes: Wishes, ctx: Context) -> dict[str, str]:
        check_needs(wishes, ctx)
        deed = new_deed()
        ctx.db.execute(INSERT, line_of(ctx, "applied", deed))
        time.sleep(wishes.get("seconds", 0.0) / 10)  # everybody else waits for it
        stumbles.forward(wishes)
        return {"step": ctx.step, "deed": deed}

    @plain.compensate
    def undo_plain(wishes: Wishes, result: dict[str, str] | None, ctx: Context) -> None:
        assert result is not None, "there is an effect to undo, so there is its result"
        ctx.db.execute(INSERT, line_of(ctx, "undone", result["deed"]))
        stumbles.backward(wishes)

    @participant.action
    async def coroutine(wishes: Wishes, ctx: Context) -> dict[str, str]:
        check_needs(wishes, ctx)
        deed = new_deed()
        await ctx.db.execute(INSERT, line_of(ctx, "applied", deed))
        await asyncio.sleep(wishes.get("seconds", 0.0) / 5)
        stumbles.forward(wishes)
        return {"step": ctx.step, "deed": deed}

    @coroutine.compensate
    async def undo_coroutine(wishes: Wishes, result: dict[str, str] | None, ctx: Context) -> None:
        assert result is not None, "there is an effect to undo, so there is its result"
        await ctx.db.execute(INSERT, line_of(ctx, "undone", result["deed"]))
        stumbles.backward(wishes)

    @participant.action(external=True)
    async def outside(wishes: Wishes, ctx: Context) -> dict[str, str]:
        check_needs(wishes, ctx)
        stumbles.forward(wishes)  # first: a rejection must be true
        await asyncio.sleep(wishes.get("seconds", 0.0) / 2)
        deed = provider.apply(ctx.saga_id, ctx.step, new_deed())
        await asyncio.sleep(wishes.get("seconds", 0.0) / 2)
        return {"step": ctx.step, "deed": deed}

    @outside.compensate
    async def undo_outside(wishes: Wishes, _result: dict[str, str] | None, ctx: Context) -> None:
        stumbles.backward(wishes)
        provider.undo(ctx.saga_id, ctx.step)

    return participant


def check_needs(wishes: Wishes, ctx: Context) -> None:
    """Sees whether the results of the steps before came with the call, each its own."""
    for step in wishes["needs"]:
        assert ctx.result(step, dict[str, str])["step"] == step, f"{step} has the result of another step"


if __name__ == "__main__":
    name, address, store, book, seed, way = sys.argv[1:]
    if way == "unary":
        offer_no_exchange()
    build(name, store, Provider(Path(book)), Random(seed)).serve(address, grace=2.0)
