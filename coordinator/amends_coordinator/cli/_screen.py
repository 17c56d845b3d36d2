"""Prints for people: tables and colours on a terminal, the same words without them elsewhere."""

import os
import sys
from functools import cache

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_UNKNOWN = 160
"""Columns where there is no terminal to ask: wide enough that ids and reasons keep to their line."""


@cache
def console() -> Console:
    """Returns the console on stdout; it has colours on a terminal unless NO_COLOR is set."""
    on_terminal = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, markup=False, emoji=False, width=None if on_terminal else _WIDTH_UNKNOWN)


def say(text: str, style: str = "") -> None:
    """Prints a line as it is, without wrapping it."""
    console().print(Text(text, style=style), soft_wrap=True)


def table(*headings: str) -> Table:
    """Returns an empty table in the house's look; its first column is never broken."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for place, heading in enumerate(headings):
        made.add_column(heading, no_wrap=place == 0, overflow="fold")
    return made


def show(shown: Table) -> None:
    """Prints a table."""
    console().print(shown)
