"""The command that publishes what is in a service's outbox."""

import click

from amends_coordinator.cli._options import bus_option, debug_option


@click.command()
@click.option(
    "--store", required=True, metavar="sqlite:///FILE", help="The store of the service, with its outbox."
)
@bus_option
@click.option(
    "--revive", is_flag=True, help="Tries events again that were given up because the bus refused them."
)
@debug_option
def relay(store: str, bus: str, revive: bool) -> None:
    """Publishes the events in a service's outbox, until SIGTERM or Ctrl-C.

    For services with relay=False; all others publish by themselves. Several may run on one store.
    """
    from amends import _loop
    from amends._bus.opening import bus_at
    from amends._choreography.relaying import relay_until_stopped
    from amends_coordinator.cli._bus import check_file

    target = bus_at(bus)
    check_file(bus)  # what is published into a new file nobody hears

    def started(revived: int) -> None:
        more = f", {revived} events revived" if revived else ""
        click.echo(f"relay: publishing from {store} to {target.url}{more}")

    _loop.run(relay_until_stopped(store, target, revive=revive, on_start=started))
