"""The commands about events that a service could not deal with: list, replay."""

from typing import TYPE_CHECKING

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import bus_option, debug_option, json_option

if TYPE_CHECKING:
    from amends_coordinator.cli._letters import Found


@click.group("dead-letters")
@debug_option
def dead_letters() -> None:
    """Shows the events that a service could not deal with, and sends them again."""


@dead_letters.command("list")
@click.option("--saga", "saga_id", metavar="ID", default="", help="Only those of this saga.")
@click.option("--consumer", metavar="NAME", default="", help="Only those of this service.")
@click.option("--all", "with_replayed", is_flag=True, help="Also those that were sent again since.")
@click.option("--payload", "with_payload", is_flag=True, help="Shows the payloads as well, as JSON.")
@json_option
@bus_option
@debug_option
def list_letters(
    saga_id: str, consumer: str, with_replayed: bool, with_payload: bool, as_json: bool, bus: str
) -> None:
    """Lists dead letters, the oldest first."""
    from amends import _loop
    from amends_coordinator.cli import _bus_views

    found = _loop.run(_find(bus, saga_id=saga_id, consumer=consumer, whole=with_payload))
    shown = [each for each in found if with_replayed or not each.replayed]
    if as_json or with_payload:
        for each in shown:
            click.echo(_bus_views.to_line(each, with_payload=with_payload))
    elif shown:
        _bus_views.show(shown)
    else:
        click.echo("no dead letters")


@dead_letters.command()
@click.argument("event_ids", metavar="[EVENT_ID]...", nargs=-1)
@click.option("--saga", "saga_id", metavar="ID", default="", help="All those of this saga.")
@click.option("--all", "every", is_flag=True, help="All there are.")
@click.option("--consumer", metavar="NAME", default="", help="Only those of this service.")
@bus_option
@debug_option
def replay(event_ids: tuple[str, ...], saga_id: str, every: bool, consumer: str, bus: str) -> None:
    """Sends dead letters again, each to the service that could not deal with it.

    Those that were sent again before are left out. Mend first what was in the way.
    """
    from amends import _loop

    if bool(event_ids) + bool(saga_id) + every != 1:
        raise CommandError("name dead letters by their EVENT_ID, or give --saga, or --all", ExitStatus.USAGE)
    count = _loop.run(_replay(bus, frozenset(event_ids), saga_id=saga_id, consumer=consumer))
    click.echo(f"{count} sent again" if count else "no dead letters")


async def _find(bus: str, *, saga_id: str, consumer: str, whole: bool) -> "list[Found]":
    from amends_coordinator.cli._bus import messages, opened
    from amends_coordinator.cli._letters import find

    async with opened(bus) as target:
        return await find(messages(target, follow=False), saga_id=saga_id, consumer=consumer, whole=whole)


async def _replay(bus: str, event_ids: frozenset[str], *, saga_id: str, consumer: str) -> int:
    """Sends again, says so line by line, and counts."""
    from amends_coordinator.cli._bus import messages, opened
    from amends_coordinator.cli._letters import find, send_again
    from amends_coordinator.cli._words import clean

    async with opened(bus) as target:
        found = await find(messages(target, follow=False), saga_id=saga_id, consumer=consumer, whole=True)
        wanted = [
            each
            for each in found
            if not each.replayed and (not event_ids or each.letter.event_id in event_ids)
        ]
        missing = event_ids - {each.letter.event_id for each in wanted}
        if missing:
            named = ", ".join(sorted(missing))
            raise CommandError(
                f"there is no dead letter {named}, or it was sent again; see amends dead-letters list --all",
                ExitStatus.NOT_FOUND,
            )
        for each in wanted:
            reference = await send_again(target, each)
            click.echo(clean(f"{each.letter.event_id} for {each.letter.consumer}: sent again as {reference}"))
    return len(wanted)
