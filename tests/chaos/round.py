"""One round: a plan performed, brought to rest, and judged."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from amends_coordinator.core.transitions import SagaState
from tests.chaos import caretaker, evidence, faults, verdict
from tests.chaos.disk import mounted
from tests.chaos.output import tracebacks
from tests.chaos.plan import Plan
from tests.chaos.stage import Stage, opened
from tests.chaos.story import with_stories


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a round came to."""

    plan: Plan
    """What was to happen."""
    seconds: float
    """How long it took, from the first process to the last comparison."""
    sagas: Counter[SagaState]
    """How many sagas ended how."""
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
        states = ", ".join(f"{count} {state.name.lower()}" for state, count in sorted(self.sagas.items()))
        disk = f", {self.full_disks} full disks at {self.plan.on_small_disk}" if self.full_disks else ""
        return (
            f"seed {self.plan.seed}: {self.seconds:.1f} s, {self.sagas.total()} sagas ({states}), "
            f"{self.kills} kills, {self.freezes} stops, {self.cuts} cuts{disk}{self.left_out}, "
            f"{len(self.violations)} violations"
        )


async def run(plan: Plan) -> Outcome:
    """Runs a round in a folder of its own, and leaves nothing behind."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="amends-chaos-") as name,
        mounted(Path(name, "disk"), wanted=bool(plan.on_small_disk)) as disk,
    ):
        if disk is not None:
            disk.crowd()
        async with opened(plan, Path(name), disk) as stage:
            found = await _perform(stage)
        left = await evidence.gather(stage)
        found += verdict.violations(left)
        found += _outbursts(stage)
        return Outcome(
            plan=plan,
            seconds=time.monotonic() - began,
            sagas=Counter(record.row.state for record in left.records.values()),
            kills=sum(ward.kills for ward in stage.wards.values()),
            freezes=sum(ward.freezes for ward in stage.wards.values()),
            cuts=sum(link.cuts for link in stage.links.values()),
            full_disks=0 if disk is None else disk.fillings,
            left_out=", no disk could be mounted" if plan.on_small_disk and disk is None else "",
            violations=tuple(with_stories(found, left, {name: _output(stage, name) for name in stage.wards})),
        )


async def _perform(stage: Stage) -> list[str]:
    """Harms everybody for a while, then brings all to rest and ends them; returns what went wrong."""
    try:
        await stage.until_up()
        await faults.perform(stage)
        await stage.until_up()
    except TimeoutError:
        return [f"{name} does not come up" for name, ward in stage.wards.items() if not ward.up.is_set()]
    await asyncio.gather(*(ward.retire() for ward in stage.customers))
    found = await caretaker.settle(stage)
    # The coordinator first: it has nobody to call when it ends.
    for ward in stage.services:
        await ward.retire()
    return found + [fault for ward in stage.wards.values() for fault in ward.faults]


def _outbursts(stage: Stage) -> Iterator[str]:
    for name in stage.wards:
        for traceback in tracebacks(_output(stage, name)):
            yield f"{name} printed a traceback:\n{indent(traceback, '    ')}"


def _output(stage: Stage, name: str) -> str:
    log = stage.log(name)
    return log.read_text("utf-8", "replace") if log.exists() else ""
