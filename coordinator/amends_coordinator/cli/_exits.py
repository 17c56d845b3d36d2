"""The exit statuses of `amends`, which tell programs how a saga ended or what went wrong."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the command ends with. Documented in docs/cli.md; scripts rely on the numbers."""

    OK = 0
    """Done; where a saga's end is told: it completed, or, for `get`, it is still going."""
    FAILED = 1
    """Anything that has no number of its own."""
    USAGE = 2
    """The command, an input or a setting is wrong; repeating it cannot help."""
    COMPENSATED = 3
    """The saga turned back, and every effect is undone."""
    PARKED = 4
    """The saga waits for an operator; or, without one to drive it, has stalled."""
    NOT_FOUND = 5
    """There is no such saga or definition."""
    UNREACHABLE = 6
    """The coordinator, or what is to be certified, does not answer."""
    INTERRUPTED = 130
    """Ctrl-C, as shells number it."""


class CommandError(Exception):
    """Ends the command with one line for people and an exit status for programs."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.FAILED) -> None:
        self.message = message
        self.status = status
        super().__init__(message)
