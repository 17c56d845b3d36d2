"""Does to a stage what its plan says."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

from tests.chaos.disk import Disk
from tests.chaos.plan import Fault, Harm
from tests.chaos.proxy import Link
from tests.chaos.ward import Ward

DELAY: Final = 0.03
"""Seconds that a slow link adds to everything that passes: a few times what a call takes."""


class Plan(Protocol):
    """What is to be done."""

    @property
    def seconds(self) -> float:
        """How long it goes on."""

    @property
    def faults(self) -> Sequence[Fault]:
        """In the order of their times."""


class Stage(Protocol):
    """Whom it can be done to."""

    @property
    def plan(self) -> Plan:
        """What is to be done."""

    @property
    def wards(self) -> Mapping[str, Ward]:
        """The processes, by name."""

    @property
    def links(self) -> Mapping[str, Link]:
        """The links, by the name that their faults have."""

    @property
    def disk(self) -> Disk | None:
        """The disk that can be filled, where the machine allows one."""


async def perform(stage: Stage) -> None:
    """Does everything at its time, and returns when all of it is over and the plan's time too."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as harms:
        for fault in stage.plan.faults:
            await asyncio.sleep(began + fault.at - loop.time())
            harms.create_task(_HARMS[fault.harm](stage, fault))
        await asyncio.sleep(began + stage.plan.seconds - loop.time())


async def _kill(stage: Stage, fault: Fault) -> None:
    stage.wards[fault.target].send(signal.SIGKILL)


async def _freeze(stage: Stage, fault: Fault) -> None:
    await stage.wards[fault.target].freeze(fault.seconds)


async def _restart(stage: Stage, fault: Fault) -> None:
    stage.wards[fault.target].send(signal.SIGTERM)


async def _cut(stage: Stage, fault: Fault) -> None:
    stage.links[fault.target].cut()


async def _stall(stage: Stage, fault: Fault) -> None:
    await stage.links[fault.target].stall(fault.seconds)


async def _swallow(stage: Stage, fault: Fault) -> None:
    await stage.links[fault.target].swallow(fault.seconds)


async def _deliver_late(stage: Stage, fault: Fault) -> None:
    await stage.links[fault.target].deliver_late(fault.seconds)


async def _slow_down(stage: Stage, fault: Fault) -> None:
    await stage.links[fault.target].slow_down(fault.seconds, DELAY)


async def _fill(stage: Stage, fault: Fault) -> None:
    if stage.disk is not None:
        stage.disk.fill()
        await asyncio.sleep(fault.seconds)
        stage.disk.clear()


_HARMS: Final[Mapping[Harm, Callable[[Stage, Fault], Coroutine[Any, Any, None]]]] = {
    Harm.KILL: _kill,
    Harm.FREEZE: _freeze,
    Harm.RESTART: _restart,
    Harm.CUT: _cut,
    Harm.STALL: _stall,
    Harm.SWALLOW: _swallow,
    Harm.LATE: _deliver_late,
    Harm.SLOW: _slow_down,
    Harm.FILL: _fill,
}
