"""What a row is: one thing that the contract promises, and how to look whether it holds."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from amends_coordinator.conformance.case import Case
from amends_coordinator.conformance.subject import Subject

OPTIONS = {
    "rejected": "--rejected-input",
    "other": "--other-input or --rejected-input",
    "failing": "--failing-input",
    "pending": "--pending-input",
}
"""How each input of a Subject is given on the command line."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What every row says of itself, whatever its check looks like."""

    name: str
    """Names the row."""
    what: str
    """Says in words of the contract what holds."""
    after: tuple[str, ...] = ()
    """Rows that this one builds on: where one of them failed, it would say nothing new and is skipped."""
    inputs: tuple[str, ...] = ()
    """The inputs it needs beside the one that succeeds, by their names in Inputs."""

    def lacks(self, subject: Subject) -> str:
        """Says what was not given to the kit and would be needed; empty if all is there."""
        for name in self.inputs:
            if getattr(subject.inputs, name) is None:
                return f"needs {OPTIONS[name]}"
        return ""


@dataclass(frozen=True, kw_only=True)
class Row(Line):
    """A row whose check makes calls and judges answers; raises NonconformingError or UncheckableError."""

    check: Callable[[Case], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class RestartRow(Line):
    """A row with a restart in the middle: where its check yields."""

    check: Callable[[Case], AsyncGenerator[None, None]]

    def lacks(self, subject: Subject) -> str:
        """Says what was not given to the kit and would be needed; empty if all is there."""
        return "needs --restart" if subject.restart is None else super().lacks(subject)
