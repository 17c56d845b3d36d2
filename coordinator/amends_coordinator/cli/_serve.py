"""The command that runs the daemon."""

import os
from collections.abc import Callable
from typing import Any

import click

from amends_coordinator.cli._exits import CommandError
from amends_coordinator.cli._options import debug_option
from amends_coordinator.settings import SETTINGS, Settings


def _setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option per setting. They stay text here: one reader checks them, whatever their source."""
    for setting in reversed(SETTINGS):
        default = f" Default: {setting.default}." if setting.default else ""
        command = click.option(
            setting.flag,
            setting.name,
            metavar="NAME=ADDRESS" if setting.name == "participants" else "VALUE",
            multiple=setting.name == "participants",
            help=f"{setting.reason} [{setting.range}]{default}",
        )(command)
    return command


@click.command()
@click.option("--config", metavar="FILE.toml", help="Reads settings from a file. Also: AMENDS_CONFIG.")
@_setting_options
@debug_option
def serve(config: str | None, **flags: Any) -> None:
    """Runs the coordinator until SIGTERM or Ctrl-C.

    Each setting can be given as a flag, as an environment variable (AMENDS_LISTEN for --listen), or in the
    TOML file (listen = ...), in this order of strength. docs/settings.md has them all.
    """
    from amends_coordinator.cli._sources import load

    settings = load(flags, os.environ, config)
    _run(settings)


def _run(settings: Settings) -> None:
    from amends import _loop
    from amends_coordinator.daemon import serve as run_daemon
    from amends_coordinator.store.interface import StoreError

    try:
        _loop.run(run_daemon(settings))
    except KeyboardInterrupt:
        pass  # A Ctrl-C before the daemon took signals over; nothing had been accepted.
    except StoreError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"cannot serve: {error.strerror or error}") from error
