"""The participant that the kit serves while it certifies a coordinator, and what it was asked to do."""

from collections import Counter
from typing import Any, Final

from amends import Context, Participant, Pending, Rejected

REJECTION: Final = "CONFORMANCE_REJECTION"
"""The reason of its rejections."""

LATER: Final = 60.0
"""Seconds that a pending step asks for: longer than any row takes, so that only a retry comes before."""


class Probe:
    """Offers `accept`, `reject`, and `hold`, which is pending until its saga is released.

    Attributes:
        participant: what is to be served.
        tried: how often each step's Try was answered, by saga and step.
        undone: the steps that were compensated, by saga, in their order.
    """

    def __init__(self) -> None:
        self.participant = Participant("conformance", store="memory:")
        self.tried: Counter[tuple[str, str]] = Counter()
        self.undone: dict[str, list[str]] = {}
        self._released: set[str] = set()
        for name, outcome in (("accept", self._accept), ("reject", self._reject), ("hold", self._hold)):
            self.participant.action(name=name)(outcome).compensate(self._undo)

    def release(self, saga_id: str) -> None:
        """Has the steps of a saga succeed that are held so far."""
        self._released.add(saga_id)

    async def _accept(self, given: Any, ctx: Context) -> dict[str, str]:
        self.tried[ctx.saga_id, ctx.step] += 1
        return {"saga": ctx.saga_id, "step": ctx.step}

    async def _reject(self, given: Any, ctx: Context) -> dict[str, str]:
        self.tried[ctx.saga_id, ctx.step] += 1
        raise Rejected(REJECTION, "the kit rejects this step", {"step": ctx.step})

    async def _hold(self, given: Any, ctx: Context) -> dict[str, str]:
        if ctx.saga_id not in self._released:
            raise Pending(LATER)
        return await self._accept(given, ctx)

    async def _undo(self, given: Any, result: dict[str, str] | None, ctx: Context) -> None:
        self.undone.setdefault(ctx.saga_id, []).append(ctx.step)
