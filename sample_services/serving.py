"""What the services have in common as programs: serve, or show the ledger."""

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from amends import Participant
from amends.choreography import EventService
from amends.errors import UsageError
from sample_services.book import Book, Bookkeeping
from sample_services.turnstile import Turnstile

GRACE_S: Final = 2.0
"""How long calls or events under way may take to end when the service is asked to stop."""

DEFAULT_LISTEN: Final = "127.0.0.1:0"
"""Port 0: any free one."""


def run(
    bookkeeping: Bookkeeping,
    participant: Callable[[str, Turnstile], Participant],
    reacting: Callable[[str, str, Turnstile], EventService],
) -> int:
    """Runs a service as its command line asks, and returns the exit status.

    Args:
        bookkeeping: says where its ledger is.
        participant: makes it a participant, of a store; that is what it is unless there is a bus.
        reacting: makes it a service of choreographed sagas, of a bus and a store.
    """
    parser = parser_for(bookkeeping.service)
    parser.add_argument("--bus", metavar="URL", help="react to the events there, and listen nowhere")
    parser.add_argument(
        "--turnstile", type=Path, metavar="FOLDER", help="where a file stops whoever comes to its place"
    )
    options = parser.parse_args()
    if options.ledger:
        return show(bookkeeping, options.ledger, as_json=options.json)
    if options.bus and options.listen:
        parser.error("--listen goes without --bus: with a bus nobody calls the service")
    turnstile = Turnstile(options.turnstile)
    try:
        if options.bus:
            serve: Callable[..., None] = reacting(options.bus, options.store, turnstile).serve
        else:
            serve = partial(participant(options.store, turnstile).serve, options.listen or DEFAULT_LISTEN)
    except UsageError as error:
        parser.error(str(error))
    serve(grace=GRACE_S)
    return 0


def parser_for(service: str) -> argparse.ArgumentParser:
    """Makes what reads the command line of a service: the options that all of them have."""
    parser = argparse.ArgumentParser(
        prog=f"python -m sample_services.{service}",
        description=f"Serves {service}, or shows its ledger.",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help=f"default: {DEFAULT_LISTEN}, any free port")
    parser.add_argument("--store", default=f"sqlite:///{service}.db", metavar="sqlite:///FILE")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="show the ledger in FILE, and end")
    parser.add_argument("--json", action="store_true", help="show the ledger for programs")
    return parser


def show(bookkeeping: Bookkeeping, path: Path, *, as_json: bool) -> int:
    """Prints a ledger, and returns the exit status."""
    try:
        book = bookkeeping.read(path)
    except (FileNotFoundError, sqlite3.DatabaseError) as error:
        print(f"{bookkeeping.service}: {path} cannot be read: {error}", file=sys.stderr)
        return 1
    print(json.dumps(_plain(book), indent=2) if as_json else _table(book, bookkeeping.unit))
    return 0


def _plain(book: Book) -> dict[str, object]:
    return {
        "service": book.service,
        "balances": {subject: asdict(balance) for subject, balance in book.balances.items()},
        "movements": [asdict(movement) for movement in book.movements],
        "fence": [{"saga": saga, "step": step, "state": state} for (saga, step), state in book.fence.items()],
    }


def _table(book: Book, unit: str) -> str:
    lines = [f"{'':<12}{'opening':>12}{'now':>12}  {unit}"]
    lines += [f"{subject:<12}{was.opening:>12}{was.closing:>12}" for subject, was in book.balances.items()]
    lines += ["", f"{'movement':<12}{unit:>12}  saga"]
    lines += [f"{move.subject:<12}{move.amount:>+12}  {move.saga}" for move in book.movements]
    return "\n".join(lines)
