"""One coordinator to a file: a lock beside it that the kernel lets go of when its holder dies."""

import fcntl
import os
import socket
from pathlib import Path

from amends_coordinator.store.interface import StoreRefusedError


class Ownership:
    """The sole right to use a store's file, held from :meth:`take` to :meth:`release` or the process's end.

    The lock is on a file of its own, since SQLite uses locks on the database itself. That file says who
    holds it, and stays: whoever removed it could let a second owner in beside one that is just locking it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> "Ownership":
        """Takes the right to use this file. Its ``path`` is absolute from then on, and without links, so that
        two names of one file lead to one lock.

        Raises:
            StoreRefusedError: another process has it, or its folder cannot be written.
        """
        path = path.resolve()
        lock = path.with_name(path.name + ".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreRefusedError(
                f"the store {path} cannot be used: {lock} cannot be written ({error.strerror}); "
                "see that its folder exists and that the coordinator may write there"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 256, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise StoreRefusedError(
                f"the store {path} is owned by {owner}; stop that coordinator, or name another file"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise StoreRefusedError(
                f"the store {path} cannot be used: {lock} cannot be locked or written ({error.strerror}); "
                "make room on its disk, or put it on one that knows locks"
            ) from error
        return cls(path, descriptor)

    def release(self) -> None:
        """Gives the right up."""
        os.close(self._descriptor)
