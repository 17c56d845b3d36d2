"""What the audience sees: headings, timelines as they happen, and what was done to whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import count

from rich.console import Console
from rich.text import Text

from amends import Event
from amends_coordinator.cli.timeline import describe
from sample_services.book import Book
from sample_services.demo.audit import Report
from sample_services.payments.accounts import euros

_INDENT = "  "

_WIDTH = 120
"""Columns of a line that goes to a file; a terminal knows its own."""


class Narrator:
    """Writes to a console, in the order in which things are told."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._numbers = count(1)

    def heading(self, title: str) -> None:
        """Begins a scene."""
        self._write()
        self._write(f"{next(self._numbers)}. {title}", "bold")

    def say(self, text: str, style: str = "") -> None:
        """Says a line of its own."""
        self._write(_INDENT + text, style)

    def aside(self, text: str, style: str = "") -> None:
        """Says a line below the timeline."""
        self._write(f"{_INDENT}{'':>10}  {text}", style)

    def deed(self, text: str) -> None:
        """Tells what the demo does to a process while the saga runs."""
        self.aside(f">>> {text}", "bold magenta")

    def event(self, event: Event, started: datetime) -> None:
        """Tells one event of a saga."""
        line = describe(event.proto)
        self._write(_INDENT + line.plain(started=started), line.style)

    def effects(self, saga_id: str, books: Sequence[Book]) -> None:
        """Tells what the ledgers hold for a saga, which is what really happened."""
        told = (f"{book.service} {_movements(saga_id, book)}" for book in books)
        self.aside("in the ledgers: " + ", ".join(told), "cyan")

    def conclude(self, books: Sequence[Book], report: Report, remark: str) -> None:
        """Tells what an audit came to, then a remark, and ends."""
        for book in books:
            undone = sum(movement.undoes for movement in book.movements)
            done = len(book.movements) - undone
            self.say(
                f"{book.service:<10}  {done} effects, {undone} undone, {len(book.fence)} rows in the fence"
            )
        for finding in report.findings:
            self.say(f"differs: {finding}", "bold red")
        if report.agrees:
            self.say(
                "Every effect of a completed saga is there once; every effect of another is undone once."
            )
        self.say(remark, "dim")
        last = f"demo: {report.completed} completed, {report.compensated} compensated, {report.lost} lost"
        self._write()
        self._write(last, "bold green" if report.agrees else "bold red")

    def _write(self, text: str = "", style: str = "") -> None:
        # A Text, because brackets in a message are no markup. One event is one line: `amends history` has
        # the rest of it.
        line = Text(text, style=style)
        line.truncate(self._console.width if self._console.is_terminal else _WIDTH, overflow="ellipsis")
        self._console.print(line, soft_wrap=True)


def _movements(saga_id: str, book: Book) -> str:
    amounts: dict[str, list[int]] = defaultdict(list)
    for movement in book.movements:
        if movement.saga == saga_id:
            amounts[movement.subject].append(movement.amount)
    write = _signed_euros if book.service == "payments" else "{:+}".format
    return (
        "; ".join(f"{' '.join(map(write, moved))} {subject}" for subject, moved in amounts.items())
        or "nothing"
    )


def _signed_euros(cents: int) -> str:
    return ("-" if cents < 0 else "+") + euros(abs(cents))
