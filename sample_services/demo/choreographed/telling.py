"""Tells a choreographed saga as it goes: what each service puts into its outbox, when it does."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from sample_services.demo.choreographed.audit import ends_of
from sample_services.demo.choreographed.post import Posted, told_of
from sample_services.demo.choreographed.stage import Stage
from sample_services.demo.narrator import Narrator
from sample_services.turnstile import POLL_S

_STYLES: Final = {"succeeded": "green", "rejected": "yellow", "compensated": "yellow"}

_SILENT: Final = "amends.v1.StepEnded"
"""The event of a step that tells nobody anything but that it has ended."""


class Told:
    """A saga whose events are told as they come to be."""

    def __init__(self, stage: Stage, narrator: Narrator, saga_id: str) -> None:
        self._stage = stage
        self._narrator = narrator
        self._saga_id = saga_id
        self._began: float | None = None
        self._told: set[tuple[str, int]] = set()
        self._seen: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def tell(self) -> None:
        """Tells the events until the saga ends, whatever happens to services and bus meanwhile."""
        ended = False
        while not ended:
            # In this order, so that the last event is told too.
            ended = ends_of([self._saga_id], self._stage.books())[self._saga_id] is not None
            for posted in told_of(self._saga_id, self._stage.posts()):
                if (posted.service, posted.number) not in self._told:
                    self._told.add((posted.service, posted.number))
                    self._tell(posted)
            await asyncio.sleep(0 if ended else POLL_S)

    async def wait_for(self, step: str) -> None:
        """Waits until a step's first event has been told."""
        await self._seen[step].wait()

    def _tell(self, posted: Posted) -> None:
        self._began = self._began or posted.time
        event = "" if posted.type == _SILENT else posted.type
        self._narrator.say(
            f"{posted.time - self._began:>8.3f} s  {posted.service:<12}{posted.step:<12}"
            f"{posted.outcome:<14}{event}".rstrip(),
            _STYLES.get(posted.outcome, ""),
        )
        self._seen[posted.step].set()
