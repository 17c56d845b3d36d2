"""The `amends` command: runs the daemon, starts sagas, shows them, and repairs them.

Ground rules. People get tables and colours, programs get `--json`; both get an exit status that tells
how the saga ended (`_exits`). An error is one line on stderr, never a traceback (`_guard`). Commands
import what they need when they run, so that `amends --help` is quick; what is imported at the top of
a command's module is click and what click needs.
"""

from amends_coordinator.cli._app import amends


def main() -> None:
    """Runs the command line and leaves the process with its exit status."""
    amends()


__all__ = ["main"]
