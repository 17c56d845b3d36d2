"""The demo: `python -m sample_services.demo`; with --stay, a playground that stays until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

from rich.console import Console

from amends import Client
from sample_services.demo.audit import Report, audit
from sample_services.demo.narrator import Narrator
from sample_services.demo.playground import stay
from sample_services.demo.processes import tail
from sample_services.demo.scenes import SCENES, Cast
from sample_services.demo.stage import Stage, opened_stage
from sample_services.shop.orders import ORDER

TIMEOUT_S: Final = 120.0
"""After how long the demo counts as stuck: several times what it takes on a slow machine."""

_INTERRUPTED: Final = 130  # as shells number it


def main() -> int:
    """Runs the demo or the playground, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sample_services.demo", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="start everything, and stay until Ctrl-C")
    staying = parser.parse_args().stay
    # The client reports every absence of its coordinator; the demo tells of those itself.
    logging.getLogger("amends").setLevel(logging.ERROR)
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="amends-demo-") as folder:
        try:
            return asyncio.run(run(console, Path(folder), staying=staying))
        except asyncio.CancelledError:
            return 0 if staying else _INTERRUPTED
        except Exception as error:
            traceback.print_exception(error)
            for log in sorted(Path(folder).glob("*.log")):
                print(tail(log), end="", file=sys.stderr)
            print("demo: failed, see above", file=sys.stderr)
            return 1


async def run(console: Console, folder: Path, *, staying: bool) -> int:
    """Runs everything with its files in a folder; the first signal cancels it.

    Returns 0 if all records agree in the end, else 1.
    """
    _cancel_on_signals()
    async with opened_stage(folder) as stage, Client(stage.address) as client:
        await client.register(ORDER)
        if staying:
            await stay(console, stage)
        async with asyncio.timeout(TIMEOUT_S):
            return await _perform(Cast(stage=stage, client=client, narrator=Narrator(console), accepted=[]))


def _cancel_on_signals() -> None:
    """Has the first signal end the demo in order, and later ones not disturb that: it is bounded."""
    task = asyncio.current_task()
    assert task is not None, "called from the main task"
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end() -> None:
        for number in numbers:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, end)


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
    narrator = cast.narrator
    narrator.heading("The audit: the coordinator's log against three ledgers and their fences, saga by saga.")
    for book in cast.stage.books():
        undone = sum(movement.undoes for movement in book.movements)
        done = len(book.movements) - undone
        narrator.say(
            f"{book.service:<10}  {done} effects, {undone} undone, {len(book.fence)} rows in the fence"
        )
    for finding in report.findings:
        narrator.say(f"differs: {finding}", "bold red")
    if report.agrees:
        narrator.say(
            "Every effect of a completed saga is there once; every effect of another is undone once."
        )
    narrator.say(f"{len(cast.accepted)} orders in {seconds:.1f} s.", "dim")
    last = f"demo: {report.completed} completed, {report.compensated} compensated, {report.lost} lost"
    narrator.end(last, "bold green" if report.agrees else "bold red")


if __name__ == "__main__":
    sys.exit(main())
