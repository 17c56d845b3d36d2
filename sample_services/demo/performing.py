"""What the demos have in common as programs: an empty folder, signals that end them in order, a status."""

import asyncio
import logging
import signal
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from sample_services.demo.processes import tail

TIMEOUT_S: Final = 120.0
"""After how long a demo counts as stuck: several times what it takes on a slow machine."""

INTERRUPTED: Final = 130
"""The exit status of a demo that a signal ended, as shells number it."""


def perform(run: Callable[[Console, Path], Awaitable[int]], *, interrupted: int = INTERRUPTED) -> int:
    """Runs a demo in an empty folder, which is gone afterwards, and returns its exit status.

    The first signal cancels it. If it fails, the ends of all logs in the folder are shown.

    Args:
        run: the demo; given where to tell it, and the folder.
        interrupted: the exit status after a signal.
    """
    # Whoever is away is reported by those who miss it; the demo tells of that itself.
    logging.getLogger("amends").setLevel(logging.ERROR)
    console = Console(highlight=False)

    async def run_until_signalled(folder: Path) -> int:
        _cancel_on_signals()
        return await run(console, folder)

    with tempfile.TemporaryDirectory(prefix="amends-demo-") as name:
        folder = Path(name)
        try:
            return asyncio.run(run_until_signalled(folder))
        except asyncio.CancelledError:
            return interrupted
        except Exception as error:
            traceback.print_exception(error)
            for log in sorted(folder.glob("*.log")):
                print(tail(log), end="", file=sys.stderr)
            print("demo: failed, see above", file=sys.stderr)
            return 1


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
