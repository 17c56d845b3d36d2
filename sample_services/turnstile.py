"""Stops a handler at a known place, so that a demonstration can pull a plug exactly there.

A turnstile watches a folder. A file named after a place closes it: whoever comes there writes the file
`PLACE.reached` and waits until the file is removed. Files, because whoever closes and opens it is
another process, and may be a person with `touch` and `rm`.
"""

import asyncio
from pathlib import Path

POLL_S = 0.02
"""Seconds between two looks at a closed turnstile: quick to the eye, and idle for a processor."""


class Turnstile:
    """Lets everybody through where its folder holds no file of the place's name.

    Args:
        folder: where the files are; None leaves every place open.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    async def pass_through(self, place: str) -> None:
        """Waits while the place is closed, and says that it was reached."""
        if self._folder is None or not (self._folder / place).exists():
            return
        self._reached(place).touch()
        while (self._folder / place).exists():  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(POLL_S)

    def close(self, place: str) -> None:
        """Closes a place, as one that nobody has reached."""
        assert self._folder is not None, "a turnstile without a folder cannot be closed"
        self._reached(place).unlink(missing_ok=True)
        (self._folder / place).touch()

    def open(self, place: str) -> None:
        """Opens a place; whoever waits there goes on."""
        assert self._folder is not None, "a turnstile without a folder is open"
        (self._folder / place).unlink(missing_ok=True)

    async def wait_until_reached(self, place: str) -> None:
        """Waits until somebody stands at a closed place."""
        while not self._reached(place).exists():  # noqa: ASYNC110 - likewise
            await asyncio.sleep(POLL_S)

    def _reached(self, place: str) -> Path:
        assert self._folder is not None, "a turnstile without a folder has no places"
        return self._folder / f"{place}.reached"
