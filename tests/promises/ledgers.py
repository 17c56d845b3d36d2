"""The ledgers that services of tests keep in their own databases, beside their fences, and how they are read.

A ledger has no constraint that could hide a fault: a line for every effect applied and one for every effect
undone, in the transaction of the fence. A trigger keeps every move of a fence too: a late Try whose effect is
undone again shows in nothing else.
"""

import itertools
import os
import sqlite3
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS lines (
    saga TEXT NOT NULL, step TEXT NOT NULL, what TEXT NOT NULL, deed TEXT NOT NULL, at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS moves (saga TEXT NOT NULL, step TEXT NOT NULL, state TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS fence_made AFTER INSERT ON amends_fence BEGIN
    INSERT INTO moves VALUES (NEW.saga_id, NEW.step, NEW.state);
END;
CREATE TRIGGER IF NOT EXISTS fence_moved AFTER UPDATE ON amends_fence BEGIN
    INSERT INTO moves VALUES (NEW.saga_id, NEW.step, NEW.state);
END;
"""

INSERT: Final = "INSERT INTO lines VALUES (?, ?, ?, ?, ?)"

Key = tuple[str, str]
"""A saga and a step of it."""

_deeds = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a ledger, or of a provider's book."""

    what: str
    """applied, undone; a provider's also: barred, too late."""
    deed: str
    """Which run of the handler made the effect."""
    at: int
    """When, in nanoseconds of the machine's monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one service wrote down about one step."""

    fence: str | None = None
    """The state of its fence; None: no row."""
    external: bool = False
    """Whether the effect lies outside the database."""
    lines: tuple[Line, ...] = ()
    """In the order in which they were written."""
    moves: tuple[str, ...] = ()
    """The states that the fence has been written with, in order."""

    def count(self, what: str) -> int:
        """How many lines say this."""
        return sum(line.what == what for line in self.lines)

    def at(self, what: str) -> int:
        """When the first such line was written; 0 if there is none."""
        return next((line.at for line in self.lines if line.what == what), 0)


NO_TRACE: Final = Trace()


def new_deed() -> str:
    """Tells one run of a handler from another."""
    return f"{os.getpid()}-{next(_deeds)}"


def line_of(context: Any, what: str, deed: str) -> tuple[str, str, str, str, int]:
    """A line about the step that a handler's context names. All processes of a machine share the clock."""
    return context.saga_id, context.step, what, deed, time.monotonic_ns()


def read_traces(store: Path, book: Path | None = None) -> dict[Key, Trace]:
    """Reads what a service left, and what the provider that it calls has in its book, if there is one."""
    query = "SELECT saga_id, step, state, action FROM amends_fence"
    fences = {(saga, step): (state, action) for saga, step, state, action in rows(store, query)}
    moves: dict[Key, list[str]] = defaultdict(list)
    for saga, step, state in rows(store, "SELECT saga, step, state FROM moves ORDER BY rowid"):
        moves[saga, step].append(state)
    lines = _read_lines(store)
    outside = {} if book is None else _read_lines(book)
    return {
        key: Trace(
            fence=fences.get(key, (None, ""))[0],
            external=key in outside or fences.get(key, ("", ""))[1] == "outside",
            lines=(*lines.get(key, ()), *outside.get(key, ())),
            moves=tuple(moves.get(key, ())),
        )
        for key in fences.keys() | lines.keys() | outside.keys()
    }


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Asks a file that nobody writes to any more."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def _read_lines(path: Path) -> dict[Key, list[Line]]:
    found: dict[Key, list[Line]] = defaultdict(list)
    for saga, step, *line in rows(path, "SELECT saga, step, what, deed, at FROM lines ORDER BY rowid"):
        found[saga, step].append(Line(*line))
    return found
