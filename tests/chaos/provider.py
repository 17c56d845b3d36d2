"""Stands for a service outside the participant's database, such as a payment provider.

Its book has a line for everything it was asked to do and did, and for what it should never be asked to do. It
has no constraint that could hide a fault; that a repeated request has no second effect is what a provider
promises, and is decided by the lines there are.
"""

import sqlite3
import time
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    saga TEXT NOT NULL, step TEXT NOT NULL, what TEXT NOT NULL, deed TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS lines_by_key ON lines (saga, step);
"""


class Provider:
    """Applies and undoes effects by key, and outlives the participant that calls it."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        # A process that dies loses nothing that was written; only the machine could, and it is not harmed.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(SCHEMA)

    def apply(self, saga: str, step: str, deed: str) -> str:
        """Makes an effect, or has made it already; returns the deed that made it."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            lines = dict(self._lines(saga, step))
            if "undone" in lines or "barred" in lines:
                self._write(saga, step, "too late", deed)
                return deed
            if "applied" in lines:
                return lines["applied"]
            self._write(saga, step, "applied", deed)
            return deed

    def undo(self, saga: str, step: str) -> None:
        """Undoes an effect; if there is none, sees to it that none comes later."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            lines = dict(self._lines(saga, step))
            if "undone" not in lines and "barred" not in lines:
                applied = lines.get("applied")
                self._write(saga, step, "undone" if applied else "barred", applied or "")

    def _lines(self, saga: str, step: str) -> list[tuple[str, str]]:
        return self._db.execute(
            "SELECT what, deed FROM lines WHERE saga = ? AND step = ?", (saga, step)
        ).fetchall()

    def _write(self, saga: str, step: str, what: str, deed: str) -> None:
        at = time.monotonic_ns()
        self._db.execute("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", (saga, step, what, deed, at))
