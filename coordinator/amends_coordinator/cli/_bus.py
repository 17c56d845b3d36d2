"""Opens the bus of choreographed services for one command, and reads what is on it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from amends._bus.interface import Bus, BusUnavailableError, Message
from amends._bus.opening import bus_at
from amends_coordinator.cli._exits import CommandError, ExitStatus

_SQLITE: Final = "sqlite:///"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Bus]:
    """Gives the open bus that a URL names.

    Raises:
        UsageError: the URL names no bus.
        BusError: the bus cannot be used.
        CommandError: there is none, or it is away, now or while it is used.
    """
    bus = bus_at(url)
    check_file(url)
    try:
        await bus.open()
        yield bus
    except BusUnavailableError as error:
        raise CommandError(str(error), ExitStatus.UNREACHABLE) from error
    finally:
        await bus.close()


def check_file(url: str) -> None:
    """Checks that the file is there which a URL names, if it names one. Raises CommandError.

    Services make it where there is none; a command has been given a wrong name then.
    """
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
        raise CommandError(f"--bus {url}: there is no such file", ExitStatus.USAGE)


async def messages(bus: Bus, *, follow: bool) -> AsyncIterator[Message]:
    """Yields everything that is kept on a bus, the oldest first. Raises BusUnavailableError."""
    page: Sequence[tuple[int, Message]]
    async for page in bus.read(0, follow=follow):
        for _, message in page:
            yield message
