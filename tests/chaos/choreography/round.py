"""One round: a plan performed, brought to rest, and judged."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from amends import CallError
from amends._bus.interface import BusUnavailableError
from tests.chaos import faults
from tests.chaos.choreography import caretaker, evidence, tracking, verdict
from tests.chaos.choreography.evidence import Evidence
from tests.chaos.choreography.plan import BUS, TRACKER, Plan
from tests.chaos.choreography.stage import Stage, opened
from tests.chaos.choreography.story import with_stories
from tests.chaos.disk import mounted
from tests.chaos.output import tracebacks


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a round came to."""

    plan: Plan
    """What was to happen."""
    seconds: float
    """How long it took, from the first process to the last comparison."""
    sagas: Counter[str]
    """How many sagas ended how."""
    events: int
    """Events on the bus."""
    dead: int
    """Events that were dead, and were replayed."""
    kills: int
    """SIGKILLs that were delivered."""
    freezes: int
    """SIGSTOPs."""
    cuts: int
    """Connections that were broken."""
    full_disks: int
    """How often a disk was filled."""
    left_out: str
    """What could not be done on this machine; empty if nothing."""
    violations: tuple[str, ...]
    """In plain words."""

    def __str__(self) -> str:
        """Says it in one line."""
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.sagas.items()))
        disk = f", {self.full_disks} full disks at {self.plan.on_small_disk}" if self.full_disks else ""
        return (
            f"seed {self.plan.seed}: {self.seconds:.1f} s, {self.sagas.total()} sagas ({ends}), "
            f"{self.events} events, {self.dead} dead, {self.kills} kills, {self.freezes} stops, "
            f"{self.cuts} cuts{disk}{self.left_out}, {len(self.violations)} violations"
        )


async def run(plan: Plan, mutant: str = "") -> Outcome:
    """Runs a round in a folder of its own, and leaves nothing behind.

    Args:
        plan: what is to happen.
        mutant: names the fault that the services have on purpose.
    """
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="amends-chaos-") as name,
        mounted(Path(name, "disk"), wanted=bool(plan.on_small_disk)) as disk,
    ):
        if disk is not None:
            disk.crowd()
        found: list[str] = []
        left: Evidence | None = None
        async with opened(plan, Path(name), disk, mutant) as stage:
            try:
                left = await _perform(stage, found)
                found += verdict.violations(left)
            except TimeoutError:
                found += [f"{name} does not come up" for name in stage.missing()]
            except BusUnavailableError as error:
                found.append(f"P2: the bus cannot be read in the end: {error}")
            except CallError as error:
                found.append(f"{TRACKER} fails a call although nothing is harmed any more: {error}")
        found += _outbursts(stage)
        outputs = {name: _output(stage, name) for name in stage.wards}
        return Outcome(
            plan=plan,
            seconds=time.monotonic() - began,
            sagas=Counter() if left is None else verdict.ends_of(left),
            events=0 if left is None else len(left.messages),
            dead=0 if left is None else len(left.dead),
            kills=sum(ward.kills for ward in stage.wards.values()),
            freezes=sum(ward.freezes for ward in stage.wards.values()),
            cuts=sum(link.cuts for link in stage.links.values()),
            full_disks=0 if disk is None else disk.fillings,
            left_out=", no disk could be mounted" if plan.on_small_disk and disk is None else "",
            violations=tuple(with_stories(found, left, outputs)),
        )


async def _perform(stage: Stage, found: list[str]) -> Evidence:
    """Harms everybody for a while, then brings all to rest, ends the services, and reads what they left.

    Adds to what was found what went wrong meanwhile.

    Raises:
        TimeoutError: something does not come up.
        BusUnavailableError: the bus cannot be read in the end.
        CallError: the tracker does not answer.
    """
    await stage.begin()
    await asyncio.gather(faults.perform(stage), caretaker.replay_early(stage))
    await stage.until_up(stage.wards)
    await asyncio.gather(*(ward.retire() for ward in stage.customers))
    restless, dead = await caretaker.settle(stage)
    found += restless
    shown = await tracking.ends(stage)
    await asyncio.gather(*(ward.retire() for ward in stage.services))
    found += [fault for ward in stage.wards.values() for fault in ward.faults]
    return await evidence.gather(stage, dead, shown)


def _outbursts(stage: Stage) -> Iterator[str]:
    for name in stage.wards:
        if name != BUS:
            for traceback in tracebacks(_output(stage, name)):
                yield f"{name} printed a traceback:\n{indent(traceback, '    ')}"


def _output(stage: Stage, name: str) -> str:
    log = stage.log(name)
    return log.read_text("utf-8", "replace") if log.exists() else ""
