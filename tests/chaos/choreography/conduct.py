"""What all handlers of a round have in common: a line in the ledger, and then whatever is wished for.

A handler writes before it stumbles, so that what is left of one that failed shows.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from amends.choreography import EventContext, Pending, Refused, Rejected
from tests.chaos.choreography.errands import Wishes
from tests.chaos.choreography.events import Stray
from tests.promises.ledgers import INSERT, line_of, new_deed

APPLIED = "SELECT deed FROM lines WHERE saga = ? AND step = ? AND what = 'applied'"


class MisfortuneError(Exception):
    """What a handler raises that fails for no reason: its traceback is in the log, and means no harm."""


class Conduct:
    """Has handlers of one service do as their errand wishes.

    Args:
        chance: decides what is not wished for exactly.
        mended: a file; once it is there, no handler is broken any more.
    """

    def __init__(self, chance: Random, mended: Path) -> None:
        self._chance = chance
        self._mended = mended

    def apply(self, wishes: Wishes, ctx: EventContext) -> str:
        """Applies the effect of a step, or stumbles; returns the deed."""
        deed = new_deed()
        ctx.db.execute(INSERT, line_of(ctx, "applied", deed))
        mine = wishes.get(ctx.step, {})
        time.sleep(mine.get("seconds", 0.0))
        self._stumble(mine, ctx)
        return deed

    async def apply_async(self, wishes: Wishes, ctx: EventContext) -> str:
        """The same from a coroutine."""
        deed = new_deed()
        await ctx.db.execute(INSERT, line_of(ctx, "applied", deed))
        mine = wishes.get(ctx.step, {})
        await asyncio.sleep(mine.get("seconds", 0.0))
        self._stumble(mine, ctx)
        return deed

    def undo(self, wishes: Wishes, deed: str, ctx: EventContext) -> str:
        """Undoes the effect of a step, or stumbles; returns what was undone."""
        ctx.db.execute(INSERT, line_of(ctx, "undone", deed))
        mine = wishes.get(f"undo {ctx.step}", {})
        time.sleep(mine.get("seconds", 0.0))
        self._stumble(mine, ctx)
        return deed

    async def undo_async(self, wishes: Wishes, deed: str, ctx: EventContext) -> str:
        """The same from a coroutine."""
        await ctx.db.execute(INSERT, line_of(ctx, "undone", deed))
        mine = wishes.get(f"undo {ctx.step}", {})
        await asyncio.sleep(mine.get("seconds", 0.0))
        self._stumble(mine, ctx)
        return deed

    def _stumble(self, mine: Mapping[str, Any], ctx: EventContext) -> None:
        if "break" in mine and not self._mended.exists():
            _BREAKS[mine["break"]](ctx)
        if ctx.attempt <= mine.get("fail", 0):
            raise MisfortuneError
        if self._chance.random() < mine.get("pend", 0.0):
            raise Pending(self._chance.uniform(0.05, 0.2))
        if mine.get("reject"):
            raise Rejected("NOT_TODAY", "as the errand wished")


def _fail(_ctx: EventContext) -> None:
    raise MisfortuneError


def _refuse(_ctx: EventContext) -> None:
    raise Refused("NOT_TODAY", "as the errand wished")


def _stray(ctx: EventContext) -> None:
    ctx.emit(Stray("of a handler that is broken"))


_BREAKS: Mapping[str, Callable[[EventContext], None]] = {"raise": _fail, "refuse": _refuse, "stray": _stray}
