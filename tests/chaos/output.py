"""Looks for tracebacks in what processes printed."""

import re
from typing import Final

HARMLESS: Final = (
    "MisfortuneError",  # handlers raise it on purpose
    "tests.chaos.choreography.conduct.MisfortuneError",
    "amends.errors.Refused: NOT_TODAY",
    "amends.errors.HandlerError: step",  # one emits on purpose what it has not declared
    "sqlite3.OperationalError: database or disk is full",  # a disk is filled on purpose
)
"""How a traceback may end that a process may print: with what the round did to it."""

_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(.*)\n?")


def tracebacks(output: str) -> list[str]:
    """Finds the tracebacks that nothing of what was done to a process explains."""
    return [found[0].rstrip() for found in _TRACEBACK.finditer(output) if not found[1].startswith(HARMLESS)]
