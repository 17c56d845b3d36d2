"""A customer's process: knocks at the door with one errand after another, now and then twice or otherwise.

``python -m tests.chaos.choreography.customer NAME DOOR NOTEBOOK SEED``
"""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from tests.chaos.choreography import door
from tests.chaos.choreography.door import Visit
from tests.chaos.choreography.errands import Errand, draw
from tests.chaos.notebook import Note, Notebook, Told, read

AT_ONCE: Final = 4
"""Errands that a customer runs at a time."""

PAUSE: Final = 0.25
"""Seconds, at most, between two of them: services share two cores with everything else."""

TOLD: Final = {
    door.BEGUN: Told.ACCEPTED,
    door.REJECTED: Told.ENDED,
    door.LATE: Told.ENDED,
    door.EXISTS: Told.EXISTS,
}


class Customer:
    """Runs errands, one after another, several at a time."""

    def __init__(self, name: str, address: str, notebook: Notebook) -> None:
        self._name = name
        self._address = address
        self._notebook = notebook
        self._manners: Sequence[Callable[[Errand], Awaitable[None]]] = (
            self._begin, self._begin, self._begin, self._begin_twice, self._begin_otherwise,
            self._begin_differently_at_once,
        )  # fmt: skip

    async def run_errands(self, lane: int, chance: Random) -> None:
        """Runs one errand after another, until it is cancelled."""
        number = 0
        while True:
            number += 1
            errand = draw(chance, f"{self._name}.{lane}.{number}")
            with suppress(OSError, TimeoutError):  # it may have begun or not: nobody was told
                await chance.choice(self._manners)(errand)
            await asyncio.sleep(chance.uniform(0, PAUSE))

    async def _begin(self, errand: Errand, content: int = 1) -> None:
        wish = json.dumps({"shape": errand.shape, "wishes": errand.wishes})
        self._note(Told.ASKED, errand, content, wish)
        async with Visit(self._address) as visit:
            told = await visit.begin(errand, content)
        if told in TOLD:
            self._note(TOLD[told], errand, content, told)

    async def _begin_twice(self, errand: Errand) -> None:
        """The same at once, and again."""
        await asyncio.gather(self._begin(errand), self._begin(errand))
        await self._begin(errand)

    async def _begin_otherwise(self, errand: Errand) -> None:
        """The id again, with other content."""
        await self._begin(errand)
        await self._begin(errand, content=2)

    async def _begin_differently_at_once(self, errand: Errand) -> None:
        """The id with one content and with another: one of them is taken."""
        await asyncio.gather(self._begin(errand, content=1), self._begin(errand, content=2))

    def _note(self, told: Told, errand: Errand, content: int, what: str) -> None:
        self._notebook.write(Note(told=told, saga=errand.saga_id, content=content, what=what))


async def run(name: str, address: str, path: Path, seed: str) -> None:
    """Runs errands until SIGTERM."""
    notebook = Notebook(path)
    notebook.write(Note(told=Told.BORN))
    # It may have been killed before, and ids are used once.
    life = sum(note.told is Told.BORN for note in read(path))
    task = asyncio.current_task()
    assert task is not None, "called from the main task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    # As every program that is run by `Process` does, though nobody talks to this one.
    print(f"{name}: listening on {address}", flush=True)
    async with asyncio.TaskGroup() as lanes:
        customer = Customer(f"{name}.{life}", address, notebook)
        for lane in range(AT_ONCE):
            lanes.create_task(customer.run_errands(lane, Random(f"{seed} {name} {life} {lane}")))


if __name__ == "__main__":
    name, address, path, seed = sys.argv[1:]
    with suppress(asyncio.CancelledError):
        asyncio.run(run(name, address, Path(path), seed))
