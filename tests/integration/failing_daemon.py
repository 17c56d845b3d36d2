"""Runs the daemon with a store that kills the process, by SIGKILL, right before or right after it made a
certain fact durable. The shipped code knows nothing of it.

``python -m tests.integration.failing_daemon WHEN FACT NUMBER LISTEN STORE NAME=ADDRESS...``
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from amends_coordinator import daemon
from amends_coordinator.settings import ParticipantSettings, Settings
from amends_coordinator.store import open_store
from amends_coordinator.store.interface import Append, ConflictError


class KillingStore:
    """Passes everything on, and counts facts of one kind on their way to the disk."""

    def __init__(self, store: Any, when: str, fact: str, number: int) -> None:
        self._store = store
        self._when, self._fact, self._left = when, fact, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, batch: Sequence[Append]) -> list[ConflictError | None]:
        self._left -= sum(type(fact).__name__ == self._fact for each in batch for fact in each.facts)
        if self._left <= 0 and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        conflicts: list[ConflictError | None] = await self._store.append(batch)
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return conflicts


def main() -> None:
    when, fact, number, listen, store, *participants = sys.argv[1:]

    async def open_killing_store(url: str) -> KillingStore:
        return KillingStore(await open_store(url), when, fact, int(number))

    daemon.open_store = open_killing_store  # type: ignore[assignment]
    settings = Settings(
        listen=listen,
        store=store,
        metrics=None,
        participants=tuple(
            ParticipantSettings(name=name, address=address)
            for name, _, address in (each.partition("=") for each in participants)
        ),
    )
    asyncio.run(daemon.serve(settings))


if __name__ == "__main__":
    main()
