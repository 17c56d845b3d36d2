"""The options that all commands share: which coordinator, how to trust it, and --debug.

They may stand before or after the name of the command, because nobody remembers where they belong.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=Callable[..., Any])

DEFAULT_TARGET = "127.0.0.1:50051"
"""Where `amends serve` listens unless told otherwise."""


@dataclass
class Options:
    """What the shared options say; filled in as click reads them."""

    target: str = DEFAULT_TARGET
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    debug: bool = False
    target_by_flag: bool = False
    """Whether the target was typed, so that commands suggested to the user must repeat it."""

    def program(self) -> str:
        """Returns how commands that are suggested to the user begin."""
        return f"amends --target {shlex.quote(self.target)}" if self.target_by_flag else "amends"


_SHARED: tuple[tuple[str, str, str, str], ...] = (
    ("target", "ADDRESS", "AMENDS_TARGET", f"The coordinator, as HOST:PORT. Default: {DEFAULT_TARGET}."),
    (
        "ca",
        "FILE",
        "AMENDS_CA",
        "PEM file of the authorities that vouch for the coordinator; switches TLS on.",
    ),
    ("cert", "FILE", "AMENDS_CERT", "PEM file of this client's certificate, for mutual TLS."),
    ("key", "FILE", "AMENDS_KEY", "PEM file of the private key of --cert."),
)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is None or value is False or parameter.name is None:
        return
    options = context.ensure_object(Options)
    setattr(options, parameter.name, value)
    if parameter.name == "target":
        source = context.get_parameter_source("target")
        options.target_by_flag = source is click.core.ParameterSource.COMMANDLINE


def global_options(command: C) -> C:
    """Adds the shared options to the group, where they are documented and read the environment."""
    return _add(command, documented=True)


def shared_options(command: C) -> C:
    """Adds the shared options to a command, where they override those of the group."""
    return _add(command, documented=False)


def trust_options(command: C) -> C:
    """Adds --ca, --cert, --key and --debug, to a command that is told otherwise whom to talk to."""
    return _add(command, documented=False, without="target")


def debug_option(command: C) -> C:
    """Adds --debug alone, to a command that talks to no coordinator."""
    return _debug(command, documented=False)


def _add(command: C, *, documented: bool, without: str = "") -> C:
    for name, metavar, variable, text in reversed(_SHARED):
        if name == without:
            continue
        command = click.option(
            f"--{name}",
            metavar=metavar,
            envvar=variable if documented else None,
            show_envvar=documented,
            help=text,
            hidden=not documented,
            expose_value=False,
            callback=_keep,
        )(command)
    return _debug(command, documented=documented)


def _debug(command: C, *, documented: bool) -> C:
    return click.option(
        "--debug",
        is_flag=True,
        help="Shows the traceback of an error.",
        hidden=not documented,
        expose_value=False,
        callback=_keep,
    )(command)


def bus_option(command: C) -> C:
    """Adds --bus, to a command that works on a bus without a coordinator."""
    return click.option(
        "--bus",
        metavar="URL",
        envvar="AMENDS_BUS",
        show_envvar=True,
        required=True,
        help="The bus of the services: sqlite:///FILE or nats://HOST:PORT.",
    )(command)


def json_option(command: C) -> C:
    """Adds --json."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Prints JSON, one object per line, for programs."
    )(command)
