"""A small disk of its own for one store, which can be filled."""

import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from amends._wal import PAGES_MAX

SIZE: Final = 64 * 1024 * 1024
"""Bytes: several times what the stores of a round come to."""

CROWDED: Final = PAGES_MAX * 4096 // 2
"""Bytes that are free from the beginning. Less than a store would like for its write-ahead log:
otherwise it would write over what it has, and would not notice for a long time that the disk is full."""


class Disk:
    """A tmpfs, with a ballast file on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fillings = 0
        self._full = False
        self._cleared = -math.inf
        self._ballast = folder / "ballast"

    @property
    def last_full(self) -> float:
        """The last moment at which it was full, on the monotonic clock."""
        return time.monotonic() if self._full else self._cleared

    def crowd(self) -> None:
        """Leaves little room."""
        self._allocate(self._free() - CROWDED)

    def fill(self) -> None:
        """Leaves no room at all."""
        self._full = True
        self.fillings += 1
        while free := self._free():
            try:
                self._allocate(free)
            except OSError:  # somebody else took some of it meanwhile: what is left now, then
                continue

    def clear(self) -> None:
        """Takes the ballast away."""
        self._ballast.unlink(missing_ok=True)
        self._full = False
        self._cleared = time.monotonic()

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def _allocate(self, count: int) -> None:
        with self._ballast.open("ab") as ballast:
            os.posix_fallocate(ballast.fileno(), ballast.tell(), count)


@contextmanager
def mounted(folder: Path, *, wanted: bool = True) -> Iterator[Disk | None]:
    """Mounts a disk on a new folder; None where it is not wanted, or this machine does not allow it."""
    folder.mkdir()
    if not wanted or not _mount(folder):
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        # Lazily, since somebody who looks around may have a file open there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def _mount(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "amends-chaos", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:  # there is no such command
        return False
