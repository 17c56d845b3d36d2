"""The playground: everything runs, and the audience types."""

import asyncio
import sys
from pathlib import Path
from typing import Never

from rich.console import Console
from rich.text import Text

from sample_services.demo.stage import Stage


async def stay(console: Console, stage: Stage) -> Never:
    """Says what to try, and waits until it is cancelled."""
    for line in _invitation(stage):
        console.print(Text(line, style="" if line.startswith("  ") else "bold"), soft_wrap=True)
    while True:
        await asyncio.Event().wait()


def _invitation(stage: Stage) -> list[str]:
    amends = f"{_shown(Path(sys.executable).with_name('amends'))} --target {stage.address}"
    python = _shown(Path(sys.executable))
    shop = f"{python} -m sample_services.shop --target {stage.address} order"
    json = '{"sku": "tea-green", "quantity": 2, "account": "ada", "address": "Rue 1, Paris", "country": "FR"}'
    payments = stage.participants["payments"]
    return [
        f"The coordinator listens on {stage.address}; its participants are inventory, payments and shipping.",
        "Try in another terminal, in this folder:",
        "",
        "An order that completes, one that nobody ships, one that its account cannot pay",
        f"  {shop}",
        f"  {shop} --quantity 3 --country AQ",
        f"  {shop} --account linus",
        "",
        "The same from the command line, with its timeline as it happens",
        f"  {amends} start order --id my-order --input '{json}' --watch",
        f"  {amends} get my-order",
        f"  {amends} list",
        "",
        "What a service wrote down",
        f"  {python} -m sample_services.payments --ledger {stage.ledger('payments')}",
        "",
        "A charge held up halfway: order, look why it waits, kill payments or let it go on",
        f"  touch {stage.folder / 'turnstile' / 'charge'}",
        f"  {amends} start order --id held --input '{json}'",
        f"  {amends} get held",
        f"  rm {stage.folder / 'turnstile' / 'charge'}",
        f"  {amends} watch held",
        "",
        f"Metrics: http://{stage.metrics}/metrics   Payments: process {payments.pid}",
        "Ctrl-C ends everything and removes its files.",
    ]


def _shown(path: Path) -> str:
    """A path as one would type it: relative where it lies below this folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
