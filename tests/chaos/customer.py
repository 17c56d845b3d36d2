"""A customer process of the chaos: starts sagas, now and then twice or with other content, and meddles.

``python -m tests.chaos.customer NAME COORDINATOR NOTEBOOK SEED PARTICIPANT...``

It ends at SIGTERM. What fails in passing is as it should be in such a world; what it is told it keeps in its
notebook. An error that no client should meet ends it, and so is found out.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from amends import (
    AlreadyExists,
    Client,
    FailedPrecondition,
    NotFound,
    NotSettled,
    Resolution,
    SagaState,
    Starter,
    TransientError,
)
from tests.chaos.errands import Errand, draw
from tests.chaos.notebook import Note, Notebook, Told, read

AT_ONCE: Final = 12
"""Errands that a customer runs at a time: enough to keep everybody busy, and to leave time for restarts."""

PATIENCE: Final = 2.0
"""Seconds to wait for the end of a saga before turning to the next one."""


class Customer:
    """Runs errands, one after another, several at a time."""

    def __init__(
        self, name: str, client: Client, starter: Starter, notebook: Notebook, participants: Sequence[str]
    ) -> None:
        self._name = name
        self._client = client
        self._starter = starter
        self._notebook = notebook
        self._participants = participants
        self._manners: Sequence[Callable[[Errand, Random], Awaitable[None]]] = (
            self._start, self._start, self._start_by_stream, self._start_by_stream,
            self._start_twice, self._start_otherwise, self._start_differently_at_once,
        )  # fmt: skip
        self._wishes: Sequence[Callable[[Errand, Random], Awaitable[None]]] = (
            self._cancel, self._cancel, self._retry, self._resolve, self._watch,
        )  # fmt: skip

    async def run_errands(self, lane: int, chance: Random) -> None:
        """Runs one errand after another, until it is cancelled."""
        number = 0
        while True:
            number += 1
            errand = draw(chance, f"{self._name}.{lane}.{number}", self._participants)
            try:
                await chance.choice(self._manners)(errand, chance)
                if chance.random() < 0.4:
                    await asyncio.sleep(chance.uniform(0, 0.3))
                    await chance.choice(self._wishes)(errand, chance)
                await self._wait(errand)
            except NotFound:
                self._note(Told.MISSING, errand)
            except TransientError:
                continue  # the saga may have started or not: nobody was told

    def _note(self, told: Told, errand: Errand, content: int = 0, what: str = "") -> None:
        self._notebook.write(Note(told=told, saga=errand.saga_id, content=content, what=what))

    # Starting

    async def _start(self, errand: Errand, _chance: Random, content: int = 1) -> None:
        await self._start_through(self._client, errand, content)

    async def _start_by_stream(self, errand: Errand, _chance: Random, content: int = 1) -> None:
        await self._start_through(self._starter, errand, content)

    async def _start_through(self, door: Client | Starter, errand: Errand, content: int) -> None:
        self._note(Told.ASKED, errand, content)
        try:
            await door.start(
                errand.definition,
                errand.input(content),
                saga_id=errand.saga_id,
                step_inputs=errand.step_inputs,
            )
        except AlreadyExists:
            self._note(Told.EXISTS, errand, content)
        else:
            self._note(Told.ACCEPTED, errand, content)

    async def _start_twice(self, errand: Errand, chance: Random) -> None:
        """The same by both ways at once, and again: all are answered alike."""
        await asyncio.gather(self._start(errand, chance), self._start_by_stream(errand, chance))
        await self._start(errand, chance)

    async def _start_otherwise(self, errand: Errand, chance: Random) -> None:
        """The id again, later, with other content."""
        await self._start(errand, chance)
        await asyncio.sleep(chance.uniform(0, 0.3))
        await self._start(errand, chance, content=2)

    async def _start_differently_at_once(self, errand: Errand, chance: Random) -> None:
        """The id with one content and with another: one of them is taken."""
        await asyncio.gather(
            self._start(errand, chance, content=1), self._start_by_stream(errand, chance, content=2)
        )

    # Meddling

    async def _cancel(self, errand: Errand, _chance: Random) -> None:
        with suppress(FailedPrecondition):
            await self._client.cancel(errand.saga_id, reason="changed my mind")
            self._note(Told.GRANTED, errand, what="cancel")

    async def _retry(self, errand: Errand, _chance: Random) -> None:
        with suppress(FailedPrecondition):
            await self._client.retry(errand.saga_id, reason="impatient")
            self._note(Told.GRANTED, errand, what="retry")

    async def _resolve(self, errand: Errand, chance: Random) -> None:
        """States of some step whatever comes to mind."""
        step = chance.choice(errand.definition.steps).name
        resolution = chance.choice(list(Resolution))
        result = {"step": step, "deed": ""} if resolution is Resolution.SUCCEEDED else None
        with suppress(FailedPrecondition):
            await self._client.resolve(errand.saga_id, step, resolution, reason="a guess", result=result)
            self._note(Told.GRANTED, errand, what=f"resolve {step}")

    async def _watch(self, errand: Errand, _chance: Random) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                async for event in self._client.watch(errand.saga_id):
                    self._note(Told.SEEN, errand, event.sequence, event.kind.name)

    async def _wait(self, errand: Errand) -> None:
        with suppress(NotSettled):
            saga = await self._client.wait(errand.saga_id, timeout=PATIENCE)
            if saga.state is not SagaState.PARKED:
                self._note(Told.ENDED, errand, what=saga.state.name)


async def run(name: str, coordinator: str, path: Path, seed: str, participants: Sequence[str]) -> None:
    """Runs errands until SIGTERM."""
    notebook = Notebook(path)
    notebook.write(Note(told=Told.BORN))
    # It may have been killed before, and ids are used once.
    life = sum(note.told is Told.BORN for note in read(path))
    task = asyncio.current_task()
    assert task is not None, "called from the main task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    # As every program that is run by `Process` does, though nobody talks to this one.
    print(f"{name}: listening on {coordinator}", flush=True)
    async with Client(coordinator) as client, client.starter() as starter, asyncio.TaskGroup() as lanes:
        customer = Customer(f"{name}.{life}", client, starter, notebook, participants)
        for lane in range(AT_ONCE):
            lanes.create_task(customer.run_errands(lane, Random(f"{seed} {name} {life} {lane}")))


if __name__ == "__main__":
    logging.getLogger("amends").setLevel(logging.ERROR)  # it reports every absence of the coordinator
    name, coordinator, path, seed, *participants = sys.argv[1:]
    with suppress(asyncio.CancelledError):
        asyncio.run(run(name, coordinator, Path(path), seed, participants))
