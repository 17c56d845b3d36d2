"""The commands about events that a service could not deal with: list, replay, discard."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import bus_option, debug_option, json_option

if TYPE_CHECKING:
    from amends._bus.interface import Bus
    from amends_coordinator.cli._letters import Found

REASON_LENGTH_MAX: Final = 1_000
"""Characters of a reason: it has to fit beside what else is said of an event, on any bus."""


@click.group("dead-letters")
@debug_option
def dead_letters() -> None:
    """Shows the events that a service could not deal with, and has them tried again or left."""


@dead_letters.command("list")
@click.option("--saga", "saga_id", metavar="ID", default="", help="Only those of this saga.")
@click.option("--consumer", metavar="NAME", default="", help="Only those of this service.")
@click.option(
    "--all", "with_settled", is_flag=True, help="Also those that were sent again or discarded since."
)
@click.option("--payload", "with_payload", is_flag=True, help="Shows the payloads as well, as JSON.")
@json_option
@bus_option
@debug_option
def list_letters(
    saga_id: str, consumer: str, with_settled: bool, with_payload: bool, as_json: bool, bus: str
) -> None:
    """Lists dead letters, the oldest first."""
    from amends import _loop
    from amends_coordinator.cli import _bus_views

    found = _loop.run(_find(bus, saga_id=saga_id, consumer=consumer, whole=with_payload))
    shown = [each for each in found if with_settled or each.is_open]
    if as_json or with_payload:
        for each in shown:
            click.echo(_bus_views.to_line(each, with_payload=with_payload))
    elif shown:
        _bus_views.show(shown)
    else:
        click.echo("no dead letters")


def which_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds what says which dead letters are meant."""
    for decorate in (
        click.option("--consumer", metavar="NAME", default="", help="Only those of this service."),
        click.option("--saga", "saga_id", metavar="ID", default="", help="All those of this saga."),
        click.argument("event_ids", metavar="[EVENT_ID]...", nargs=-1),
    ):
        command = decorate(command)
    return command


@dead_letters.command()
@which_options
@click.option("--all", "every", is_flag=True, help="All there are.")
@bus_option
@debug_option
def replay(event_ids: tuple[str, ...], saga_id: str, every: bool, consumer: str, bus: str) -> None:
    """Sends dead letters again, each to the service that could not deal with it.

    Those that were sent again or discarded before are left out. Mend first what was in the way.
    """
    from amends import _loop

    if bool(event_ids) + bool(saga_id) + every != 1:
        raise CommandError("name dead letters by their EVENT_ID, or give --saga, or --all", ExitStatus.USAGE)
    count = _loop.run(_replay(bus, frozenset(event_ids), saga_id=saga_id, consumer=consumer))
    click.echo(f"{count} sent again" if count else "no dead letters")


@dead_letters.command()
@which_options
@click.option(
    "--reason", required=True, metavar="TEXT", help="Why; the service keeps it and the log tells it."
)
@bus_option
@debug_option
def discard(event_ids: tuple[str, ...], saga_id: str, consumer: str, reason: str, bus: str) -> None:
    """Has services deal no more with dead letters that no replay can help.

    What waited behind them goes on. Nothing of such an event is done, now or later: see first to what it
    would have done.
    """
    from amends import _loop

    if bool(event_ids) + bool(saga_id) != 1:
        raise CommandError("name dead letters by their EVENT_ID, or give --saga", ExitStatus.USAGE)
    reason = reason.strip()
    if not 1 <= len(reason) <= REASON_LENGTH_MAX:
        raise CommandError(f"--reason takes 1 to {REASON_LENGTH_MAX} characters", ExitStatus.USAGE)
    count = _loop.run(_discard(bus, frozenset(event_ids), saga_id=saga_id, consumer=consumer, reason=reason))
    click.echo(f"{count} discarded" if count else "no dead letters")


async def _find(bus: str, *, saga_id: str, consumer: str, whole: bool) -> "list[Found]":
    from amends_coordinator.cli._bus import messages, opened
    from amends_coordinator.cli._letters import find

    async with opened(bus) as target:
        return await find(messages(target, follow=False), saga_id=saga_id, consumer=consumer, whole=whole)


async def _replay(bus: str, event_ids: frozenset[str], *, saga_id: str, consumer: str) -> int:
    """Sends again, says so line by line, and counts."""
    from amends_coordinator.cli._letters import send_again

    async def act(target: "Bus", found: "Found") -> str:
        reference = await send_again(target, found)
        if reference:
            return f"sent again as {reference}"
        return f"tried again from what {found.letter.consumer} has kept, for the letter had no room for it"

    return await _each(bus, event_ids, act, saga_id=saga_id, consumer=consumer, whole=True)


async def _discard(bus: str, event_ids: frozenset[str], *, saga_id: str, consumer: str, reason: str) -> int:
    """Discards, says so line by line, and counts."""
    from amends_coordinator.cli import _letters

    async def act(target: "Bus", found: "Found") -> str:
        await _letters.discard(target, found, reason)
        return "discarded"

    return await _each(bus, event_ids, act, saga_id=saga_id, consumer=consumer, whole=False)


async def _each(
    bus: str, event_ids: frozenset[str], act: "Callable[[Bus, Found], Awaitable[str]]", **which: Any
) -> int:
    """Acts on each dead letter that is meant, and says what came of it; nothing if one is not there."""
    from amends_coordinator.cli._bus import messages, opened
    from amends_coordinator.cli._letters import find
    from amends_coordinator.cli._words import clean

    async with opened(bus) as target:
        found = await find(messages(target, follow=False), **which)
        wanted = [
            each for each in found if each.is_open and (not event_ids or each.letter.event_id in event_ids)
        ]
        missing = event_ids - {each.letter.event_id for each in wanted}
        if missing:
            named = ", ".join(sorted(missing))
            raise CommandError(
                f"there is no dead letter {named}, or it was sent again or discarded; "
                "see amends dead-letters list --all",
                ExitStatus.NOT_FOUND,
            )
        for each in wanted:
            said = await act(target, each)
            click.echo(clean(f"{each.letter.event_id} for {each.letter.consumer}: {said}"))
    return len(wanted)
