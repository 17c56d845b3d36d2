"""The playground: everything runs, and the audience types."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Never

from rich.console import Console
from rich.text import Text

from sample_services.demo.stage import Stage

_ORDER: Final = (
    '{"sku": "tea-green", "quantity": 2, "account": "ada", "address": "Rue 1, Paris", "country": "FR"}'
)

Command = tuple[str, int]
"""A command to type, and the exit status it ends with."""


async def stay(console: Console, stage: Stage) -> Never:
    """Says what to try, and waits until it is cancelled."""

    def write(text: str = "", style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    write(f"The coordinator listens on {stage.address}, its metrics are at http://{stage.metrics}/metrics.")
    write("Try in another terminal, in this folder:")
    for title, group in _groups(stage).items():
        write()
        write(title, "bold")
        for command, _ in group:
            write(f"  {command}")
    write()
    write("Ctrl-C ends everything and removes its files.", "dim")
    while True:
        await asyncio.Event().wait()


def commands(stage: Stage) -> Iterator[Command]:
    """Yields everything there is to try, in its order."""
    for group in _groups(stage).values():
        yield from group


def _groups(stage: Stage) -> Mapping[str, Sequence[Command]]:
    amends = f"{_shown(Path(sys.executable).with_name('amends'))} --target {stage.address}"
    python = f"{_shown(Path(sys.executable))} -m"
    shop = f"{python} sample_services.shop --target {stage.address} order"
    gate = stage.folder / "turnstile" / "charge"
    return {
        "An order that completes, one that nobody ships, one that its account cannot pay": [
            (shop, 0),
            (f"{shop} --quantity 3 --country AQ", 1),
            (f"{shop} --account linus", 1),
        ],
        "The same by the command line, with its timeline as it happens": [
            (f"{amends} start order --id my-order --input '{_ORDER}' --watch", 0),
            (f"{amends} get my-order", 0),
            (f"{amends} list", 0),
        ],
        "What a service wrote down": [
            (f"{python} sample_services.payments --ledger {stage.ledger('payments')}", 0),
        ],
        "A charge that is held up for some seconds: see what it waits for, then let it go on": [
            (f"touch {gate}", 0),
            (f"{amends} start order --id held --input '{_ORDER}'", 0),
            (f"{amends} get held", 0),
            (f"rm {gate}", 0),
            (f"{amends} watch held", 0),
        ],
    }


def _shown(path: Path) -> str:
    """A path as one would type it: relative where it lies below this folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
