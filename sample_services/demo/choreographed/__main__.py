"""The demo without a coordinator: `python -m sample_services.demo.choreographed`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from rich.console import Console

from sample_services.demo.choreographed.audit import audit
from sample_services.demo.choreographed.customer import Customer
from sample_services.demo.choreographed.scenes import SCENES, Cast
from sample_services.demo.choreographed.stage import Stage, opened_stage
from sample_services.demo.narrator import Narrator
from sample_services.demo.performing import TIMEOUT_S, perform


def main() -> int:
    """Runs the demo, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sample_services.demo.choreographed", description=__doc__)
    parser.add_argument("--bus", choices=("sqlite", "nats"), default="sqlite", help="what carries the events")
    bus = parser.parse_args().bus
    return perform(lambda console, folder: run(console, folder, bus=bus))


async def run(console: Console, folder: Path, *, bus: str) -> int:
    """Runs everything with its files in a folder. Returns 0 if all records agree in the end, else 1."""
    async with opened_stage(folder, bus) as stage, Customer(stage.door) as customer:
        async with asyncio.timeout(TIMEOUT_S):
            return await _perform(
                Cast(stage=stage, customer=customer, narrator=Narrator(console), accepted=[], onlooker={})
            )


async def _perform(cast: Cast) -> int:
    began = time.monotonic()
    _introduce(cast.narrator, cast.stage)
    for scene in SCENES:
        await scene(cast)
    books = cast.stage.books()
    report = audit(cast.accepted, books, cast.stage.posts(), onlooker=cast.onlooker)
    cast.narrator.heading(
        "The audit: four ledgers, their fences and the onlooker against each other, saga by saga."
    )
    remark = f"{len(cast.accepted)} orders in {time.monotonic() - began:.1f} s."
    cast.narrator.conclude(books, report, remark)
    return 0 if report.agrees else 1


def _introduce(narrator: Narrator, stage: Stage) -> None:
    narrator.say("An order is a saga that nobody directs: each service reacts to what others tell.", "bold")
    narrator.say("Each has a database of its own, where effect, inbox and outbox commit together. Four run:")
    for process in stage.services.values():
        narrator.say(f"  {process.name:<16} process {process.pid}", "dim")
    narrator.say(f"  {'the bus':<16} {stage.bus.introduction}", "dim")


if __name__ == "__main__":
    sys.exit(main())
