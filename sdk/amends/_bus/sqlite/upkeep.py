"""What somebody has to do now and then: any owner does it for all of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from amends._bus.sqlite.bell import is_silent
from amends._bus.sqlite.joining import leave

PERIOD_S: Final = 0.5
"""How long a message may wait for an owner whose bell was not heard, and what a dead one had for another."""

_SWEPT_AT_ONCE: Final = 1_000
"""How many old messages to remove in one transaction: some milliseconds. In every period that is more than
a bus takes up over the days."""


def tend(connection: sqlite3.Connection, bus: Path, now: float, oldest: float) -> list[str]:
    """Gives up owners that died and leases that ran out, and removes what is too old.

    Args:
        connection: in a transaction that writes.
        bus: the file, which the bells are beside.
        now: the time, in seconds since 1970.
        oldest: what was published before this goes.

    Returns:
        The bells of the owners who may take more now.
    """
    bells: list[str] = []
    for number, bell in connection.execute("SELECT number, bell FROM owners").fetchall():
        pipe = bus.with_name(bell)
        if is_silent(pipe):
            bells += leave(connection, number)
            pipe.unlink(missing_ok=True)
    bells += [bell for (bell,) in connection.execute(_BELLS_OF_OVERDUE, {"now": now})]
    connection.execute("UPDATE deliveries SET owner = 0, due = 0 WHERE owner <> 0 AND due <= ?", (now,))
    _sweep(connection, oldest)
    return bells


def is_needed(connection: sqlite3.Connection, bus: Path, now: float, oldest: float) -> bool:
    """Whether there is anything to tend, found without writing."""
    if any(
        is_silent(bus.with_name(bell)) for (bell,) in connection.execute("SELECT bell FROM owners").fetchall()
    ):
        return True
    (found,) = connection.execute(_ANYTHING, {"now": now, "oldest": oldest}).fetchone()
    return bool(found)


def _sweep(connection: sqlite3.Connection, oldest: float) -> None:
    # They are looked for where the log begins: an index by age would cost every message more than this does.
    rows = connection.execute(
        "SELECT sequence, published_at FROM messages ORDER BY sequence LIMIT ?", (_SWEPT_AT_ONCE,)
    ).fetchall()
    last = max((sequence for sequence, published_at in rows if published_at < oldest), default=0)
    if last:
        connection.execute("DELETE FROM messages WHERE sequence <= ?", (last,))
        connection.execute("DELETE FROM deliveries WHERE sequence <= ?", (last,))


_BELLS_OF_OVERDUE: Final = """
SELECT bell FROM owners WHERE consumer IN (SELECT consumer FROM deliveries WHERE owner <> 0 AND due <= :now)
"""

_ANYTHING: Final = """
SELECT EXISTS (SELECT 1 FROM deliveries WHERE owner <> 0 AND due <= :now)
OR coalesce((SELECT published_at FROM messages ORDER BY sequence LIMIT 1) < :oldest, 0)
"""
