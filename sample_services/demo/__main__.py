"""The demo: `python -m sample_services.demo`; with --stay, a playground that stays until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from rich.console import Console

from amends import Client
from sample_services.demo.audit import Report, audit
from sample_services.demo.narrator import Narrator
from sample_services.demo.performing import INTERRUPTED, TIMEOUT_S, perform
from sample_services.demo.playground import stay
from sample_services.demo.scenes import SCENES, Cast
from sample_services.demo.stage import Stage, opened_stage
from sample_services.shop.orders import ORDER


def main() -> int:
    """Runs the demo or the playground, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sample_services.demo", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="start everything, and stay until Ctrl-C")
    staying = parser.parse_args().stay
    return perform(
        lambda console, folder: run(console, folder, staying=staying),
        interrupted=0 if staying else INTERRUPTED,
    )


async def run(console: Console, folder: Path, *, staying: bool) -> int:
    """Runs everything with its files in a folder. Returns 0 if all records agree in the end, else 1."""
    async with opened_stage(folder) as stage, Client(stage.address) as client:
        await client.register(ORDER)
        if staying:
            await stay(console, stage)
        async with asyncio.timeout(TIMEOUT_S):
            return await _perform(Cast(stage=stage, client=client, narrator=Narrator(console), accepted=[]))


async def _perform(cast: Cast) -> int:
    began = time.monotonic()
    _introduce(cast.narrator, cast.stage)
    for scene in SCENES:
        await scene(cast)
    sagas = [(await cast.client.get(summary.id)).proto async for summary in cast.client.list()]
    report = audit(sagas, cast.stage.books(), accepted=cast.accepted)
    _conclude(cast, report, time.monotonic() - began)
    return 0 if report.agrees else 1


def _introduce(narrator: Narrator, stage: Stage) -> None:
    narrator.say("An order is a saga of three steps: reserve stock, charge the account, ship.", "bold")
    narrator.say("Each step is done by a service with a database of its own. What is refused late undoes")
    narrator.say("what was done before; what is killed goes on where it was. Four processes run:")
    for process in stage.processes:
        role = "the coordinator" if process is stage.coordinator else process.name
        narrator.say(f"  {role:<16} process {process.pid}", "dim")


def _conclude(cast: Cast, report: Report, seconds: float) -> None:
    cast.narrator.heading(
        "The audit: the coordinator's log against three ledgers and their fences, saga by saga."
    )
    remark = f"{len(cast.accepted)} orders in {seconds:.1f} s."
    cast.narrator.conclude(cast.stage.books(), report, remark)


if __name__ == "__main__":
    sys.exit(main())
