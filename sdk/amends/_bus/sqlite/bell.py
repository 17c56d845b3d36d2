"""Bells: how one process wakes another at once, and how it learns that the other is dead.

A bell is a named pipe that its owner keeps open for reading. The kernel closes it when the owner dies, and
from then on nobody can open it for writing. A process that is frozen still has it open; only its leases tell.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from amends._bus.interface import BusError

_MUCH: Final = 65_536
"""As much as a pipe usually holds."""


class Bell:
    """The bell of one owner. Used in one event loop."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._rung = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._hear)

    @classmethod
    def hang(cls, bus: Path) -> Self:
        """Makes a bell beside the file of a bus. Raises BusError if there can be none."""
        path = bus.with_name(f"{bus.name}-bell-{secrets.token_hex(8)}")
        try:
            os.mkfifo(path)
            # Open for writing too, so that it never comes to an end while others open and close it.
            descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise BusError(
                f"the bus {bus} cannot be used: the pipe {path.name} cannot be made beside it "
                f"({error.strerror}); put it on a local disk, in a folder that may be written to"
            ) from error
        return cls(path, descriptor)

    def reset(self) -> None:
        """Forgets that the bell was rung: whoever waits next looks first."""
        self._rung.clear()

    def strike(self) -> None:
        """Rings the bell from within."""
        self._rung.set()

    async def wait(self, timeout: float) -> None:
        """Waits until the bell has been rung since the reset, at most so many seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            pass

    def take_down(self) -> None:
        """Removes the bell."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.path.unlink(missing_ok=True)
        self._rung.set()

    def _hear(self) -> None:
        self._rung.set()
        os.read(self._descriptor, _MUCH)


def ring(bells: Iterable[Path]) -> None:
    """Wakes whoever owns these bells."""
    for bell in bells:
        _open(bell, b"\n")


def is_silent(bell: Path) -> bool:
    """Whether it is sure that nobody owns this bell any more."""
    return not _open(bell, b"")


def _open(bell: Path, sound: bytes) -> bool:
    """Opens a bell for a moment, and says False if nobody owns it."""
    try:
        descriptor = os.open(bell, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        # Anything else, such as too many open files, says nothing about the owner.
        return error.errno not in (errno.ENXIO, errno.ENOENT)
    try:
        if sound:
            os.write(descriptor, sound)
    except OSError:
        pass  # it was rung so often without listening that the pipe is full, or has died since
    finally:
        os.close(descriptor)
    return True
