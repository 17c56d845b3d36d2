"""Brings a stage to rest when nothing is harmed any more.

First it only looks. What is dead then needs an operator, who mends what is broken and has it sent again, by
the command that operators have.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from contextlib import closing
from typing import Final, NamedTuple

from amends._bus.interface import BusUnavailableError
from sample_services.demo.stage import ROOT
from tests.chaos.choreography import tracking
from tests.chaos.choreography.rest import Look, look, reading
from tests.chaos.choreography.shapes import SERVICES
from tests.chaos.choreography.stage import Stage

PATIENCE: Final = 90.0
"""Seconds for all to come to rest. A server that was killed is looked for every five, a request that was lost
is missed after forty; most rounds take a few."""

PAUSE: Final = 0.2
"""Seconds between two looks: nothing moves unseen between two that are alike."""


class Dead(NamedTuple):
    """An event that was dead before an operator came."""

    service: str
    """Who could not deal with it."""
    saga: str
    """The saga that it belongs to."""
    event: str
    """Its source and id, with a slash between."""


async def replay_early(stage: Stage) -> None:
    """Has what is dead sent again while everybody is being harmed, if that is planned.

    Nothing is mended yet, so what is sent in its place dies like it.
    """
    if stage.plan.replays_at is not None:
        await asyncio.sleep(stage.plan.replays_at)
        await _replay(stage)


async def settle(stage: Stage) -> tuple[list[str], list[Dead]]:
    """Waits until everything is at rest, by itself; then mends, replays, and waits again.

    Returns what did not come to rest, in words, and what was dead before.
    """
    faults = _restless(await _until_quiet(stage))
    dead = _dead(stage)
    if faults:
        return faults, dead
    faults += await tracking.until_stalled(stage, {each.saga for each in dead})
    if dead:
        stage.mended.touch()
        await _replay(stage)
        faults += _restless(await _until_quiet(stage))
        faults += [f"P12: {left.event} was replayed, and is dead at {left.service}" for left in _dead(stage)]
        faults += await tracking.until_ended(stage)
    return faults, dead


async def _until_quiet(stage: Stage) -> Look | None:
    """Looks until two looks are alike and quiet; returns the last one, None if there was none."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    last: Look | None = None
    while asyncio.get_running_loop().time() < deadline:
        try:
            seen = await look(stage)
        except BusUnavailableError:
            seen = None
        if seen is not None and seen.is_quiet and seen == last:
            return seen
        last = seen
        await asyncio.sleep(PAUSE)
    return last


def _restless(last: Look | None) -> list[str]:
    if last is None:
        return [f"P2: the bus does not answer {PATIENCE:g} s after all faults have ended"]
    if not last.is_quiet:
        return [f"P2: not at rest {PATIENCE:g} s after all faults have ended: {last}"]
    if last.parked and not last.dead:
        return [f"P2: events are parked, and none is in their way: {last}"]
    return []


def _dead(stage: Stage) -> list[Dead]:
    found = []
    for service in SERVICES:
        with closing(reading(stage.store(service))) as db:
            rows = db.execute("SELECT saga_id, event_id FROM amends_inbox WHERE state = 'DEAD'").fetchall()
        found += [Dead(service, *row) for row in rows]
    return found


async def _replay(stage: Stage) -> None:
    command = ["amends_coordinator.cli", "dead-letters", "replay", "--all", "--bus", stage.bus_url()]
    with stage.log("operator").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, stdin=DEVNULL, stdout=log, stderr=log, cwd=ROOT
        )
        await process.wait()
