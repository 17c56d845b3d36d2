"""Gathers the commands under `amends`."""

import click

from amends_coordinator.cli import (
    _conformance,
    _dead_letters,
    _definitions,
    _events,
    _operate,
    _protos,
    _relay,
    _serve,
    _show,
    _start,
    _stubs,
)
from amends_coordinator.cli._guard import GuardedGroup
from amends_coordinator.cli._options import global_options


@click.group(cls=GuardedGroup, invoke_without_command=True)
@global_options
@click.version_option(package_name="amends", message="amends %(version)s")
@click.pass_context
def amends(context: click.Context) -> None:
    """Runs and operates sagas: changes that happen in several services, or are undone in all of them.

    Exit status: 0 completed or done, 3 compensated, 4 parked, 5 not found, 6 coordinator unreachable,
    2 wrong usage or input, 1 anything else.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    _serve.serve,
    _start.start,
    _show.get,
    _show.list_sagas,
    _show.watch,
    _show.history,
    _operate.cancel,
    _operate.retry,
    _operate.resolve,
    _definitions.definitions,
    _protos.protos,
    _relay.relay,
    _dead_letters.dead_letters,
    _events.events,
    _stubs.stubs,
    _conformance.conformance,
):
    amends.add_command(command)
