"""The `amends` command: runs the daemon, starts sagas, shows them, and repairs them.

Ground rules. People get tables and colours, programs get `--json`; both get an exit status that tells
how the saga ended (`_exits`). An error is one line on stderr, never a traceback (`_guard`). Commands
import what they need when they run, so that `amends --help` is quick; what is imported at the top of
a command's module is click and what click needs.
"""

import os

from amends_coordinator.cli._app import amends


def main() -> None:
    """Runs the command line and leaves the process with its exit status."""
    # gRPC writes to stderr by itself what is told in one line here. It looks once, when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    amends()


__all__ = ["main"]
