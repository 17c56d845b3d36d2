"""The command that shows the events on a bus."""

from datetime import UTC, datetime

import click

from amends_coordinator.cli._options import bus_option, debug_option, json_option


@click.group()
@debug_option
def events() -> None:
    """Shows what choreographed services tell each other."""


@events.command()
@click.option("--saga", "saga_id", metavar="ID", default="", help="Only the events of this saga.")
@click.option(
    "--type", "family", metavar="TYPE", default="", help="Only events of this type, in any version of it."
)
@click.option("--since", metavar="WHEN", help="Only events since: so long ago, as 90m or 2d, or an ISO time.")
@click.option("--no-follow", is_flag=True, help="Ends with the last event there is, and waits for no more.")
@click.option("--payload", "with_payload", is_flag=True, help="Shows the payloads as well, as JSON.")
@json_option
@bus_option
@debug_option
def tail(
    saga_id: str,
    family: str,
    since: str | None,
    no_follow: bool,
    with_payload: bool,
    as_json: bool,
    bus: str,
) -> None:
    """Shows the events on a bus as they come, the oldest first, until Ctrl-C."""
    from amends import _loop
    from amends_coordinator.cli._inputs import read_moment

    start = 0.0
    if since is not None:
        start = read_moment(since, option="--since", now=lambda: datetime.now(UTC)).timestamp()
    _loop.run(
        _tail(
            bus,
            saga_id=saga_id,
            family=family,
            start=start,
            follow=not no_follow,
            as_json=as_json or with_payload,
            with_payload=with_payload,
        )
    )


async def _tail(
    bus: str, *, saga_id: str, family: str, start: float, follow: bool, as_json: bool, with_payload: bool
) -> None:
    from amends._choreography.cloudevent import MalformedEventError, read_message
    from amends._choreography.types import family_of
    from amends_coordinator.cli import _bus_views
    from amends_coordinator.cli._bus import messages, opened

    wanted = family_of(family) if family else ""
    async with opened(bus) as target:
        async for message in messages(target, follow=follow):
            try:
                event = read_message(message)
            except MalformedEventError as error:
                click.echo(f"amends: {message.id!a} is no event: {error}", err=True)
                continue
            if (
                saga_id in ("", event.saga_id)
                and wanted in ("", family_of(event.type))
                and event.time >= start
            ):
                click.echo(
                    _bus_views.event_to_line(event, with_payload=with_payload)
                    if as_json
                    else _bus_views.event_line(event)
                )
