"""Runs worlds: one from its seed, or many on all processors."""

import contextlib
import io
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.simulation.checker import Checker
from tests.simulation.environment import Loop, simulated
from tests.simulation.network import Network
from tests.simulation.plan import Plan, Scope, draw
from tests.simulation.process import Task
from tests.simulation.story import Story
from tests.simulation.world import World

RAM = Path("/dev/shm")
"""Where files are kept if it exists: what is synced there costs no time."""

EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Result:
    """How a world ended."""

    seed: int
    scope: Scope
    story: Story
    sagas: int
    broken: str  # the promise that was broken first, and how; empty if none was
    broken_saga: str
    turns: int


def run(seed: int, scope: Scope = EVERYTHING) -> Result:
    """Runs the world of a seed, or a part of it."""
    home = Path(tempfile.mkdtemp(prefix="amends-", dir=RAM if RAM.is_dir() else None))
    plan, story = draw(seed, scope), Story(str(home))
    silenced = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    loop = Loop()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            checker = loop.run_until_complete(_live(loop, plan, story, home))
    except Exception as error:  # whatever it is, it has a seed
        return Result(seed, scope, story, 0, f"P2: the world came to an end: {error!r}", "", loop.turns)
    finally:
        loop.close()
        logging.disable(silenced)
        shutil.rmtree(home)
    return Result(seed, scope, story, len(checker.sagas), checker.broken, checker.broken_saga, loop.turns)


async def _live(loop: Loop, plan: Plan, story: Story, home: Path) -> Checker:
    checker = Checker(story)
    network = Network(Random(f"{plan.seed}/network"), checker, story.injected)
    loop.set_exception_handler(lambda _, context: _object_to(checker, context))
    with simulated(loop, network, plan.seed):
        world = World(loop, plan, story, checker, network, home)
        try:
            await world.live()
        finally:
            await world.end()
            checker.close()
    return checker


def _object_to(checker: Checker, context: dict[str, Any]) -> None:
    """Takes an error that nobody expected for a broken promise, unless it is the last word of the dead."""
    task = context.get("task") or context.get("future")
    process = task.process if isinstance(task, Task) else None
    if process is None or process.alive:
        checker.object(f"P2: nobody expected this: {context.get('message')}: {context.get('exception')!r}")
