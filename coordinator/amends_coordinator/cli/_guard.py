"""Turns whatever a command raises into one line on stderr and an exit status."""

import sys
import traceback
from typing import Any

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import Options
from amends_coordinator.settings import SettingsError


class GuardedGroup(click.Group):
    """A group whose commands return an exit status, or None for 0, and may raise anything."""

    def main(self, args: Any = None, prog_name: Any = None, *ignored: Any, **extra: Any) -> Any:
        """Runs the command line; never returns, and never lets a traceback through unasked."""
        options = Options()
        # What click would do by itself in standalone mode, we do, so that every error looks the same.
        extra |= {"standalone_mode": False, "obj": options}
        try:
            status = super().main(args, "amends", **extra) or ExitStatus.OK
        except Exception as error:
            status = _report(error, options)
        sys.exit(int(status))


def _report(error: Exception, options: Options) -> ExitStatus:
    if isinstance(error, click.Abort):
        return ExitStatus.INTERRUPTED
    if options.debug:
        traceback.print_exception(error)
    message, status = _in_words(error)
    click.echo("amends: " + " ".join(message.split()), err=True)
    return status


def _in_words(error: Exception) -> tuple[str, ExitStatus]:
    if isinstance(error, CommandError):
        return error.message, error.status
    if isinstance(error, SettingsError):
        return str(error), ExitStatus.USAGE
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "amends"
        return f"{error.format_message()} (see {command} --help)", ExitStatus.USAGE
    if isinstance(error, click.ClickException):
        return error.format_message(), ExitStatus.FAILED
    return _foreign(error)


def _foreign(error: Exception) -> tuple[str, ExitStatus]:
    # Imported here because it brings in gRPC, which most failures do without.
    from amends.errors import AmendsError, UsageError

    if isinstance(error, UsageError):
        return str(error), ExitStatus.USAGE
    if isinstance(error, AmendsError):
        return str(error), ExitStatus.FAILED
    kind = type(error).__name__
    return f"unexpected {kind}: {error} (--debug shows the traceback)", ExitStatus.FAILED
