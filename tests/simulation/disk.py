"""What a node keeps: SQLite files that are real, on a disk that is slow, fails, fills up, or loses power.

A connection of aiosqlite hands its work to a thread. Here the work is done in the event loop instead, one
piece after the other, each after the time that the disk takes. So every run is the same, and a process can
die between any two pieces, or right before or after one has reached the disk.
"""

import asyncio
import contextvars
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, cast

import aiosqlite

from amends_coordinator.store.interface import StoreRefusedError
from tests.simulation.process import Process

SYNCHRONOUS_FULL = 2
"""What SQLite calls the setting with which every commit is on disk before it returns."""

ANY_NUMBER_OF_PAGES = 1 << 30

Work = tuple["asyncio.Future[Any] | None", Callable[[], Any]]


class Disk:
    """The disk of one node. It outlives the node's processes."""

    def __init__(self, folder: Path, random: Random) -> None:
        """Makes an empty disk that works.

        Args:
            folder: where its files really are.
            random: what decides how long things take, and which of them fail.
        """
        self.folder = folder
        self.owner: Process | None = None  # who has locked the file
        self.slowness = 1.0  # times that everything takes as long as usual
        self.full = False  # whether files can grow no more
        self.failing = 0.0  # chance that a piece of work fails and does nothing
        self.crashing = 0.0  # chance that a piece of work takes its process down
        self.ailing = False  # whether it has failed the process that uses it
        self.injected: Callable[[str], None] = lambda name: None  # told of every fault
        self.worked: Callable[[Process], None] = lambda process: None  # told that files may have changed
        self.gave: Callable[[Process, Any, Any], None] = lambda process, work, result: (
            None
        )  # and what was read
        self.changing_files: Callable[[], None] = lambda: None  # told that files are about to be replaced
        self._random = random
        self._unsynced = False
        folder.mkdir()

    @property
    def file(self) -> Path:
        """The one database that is kept here."""
        return self.folder / "store.db"

    def recover(self) -> None:
        """Works again, as well as ever."""
        self.full, self.failing, self.slowness = False, 0.0, 1.0

    def seconds(self) -> float:
        """How long the next piece of work takes."""
        return self._random.uniform(0.0002, 0.002) * self.slowness

    def perform(
        self, process: Process, connection: sqlite3.Connection | None, work: Callable[[], Any]
    ) -> Any:
        """Does a piece of work, or does not. Raises what the work raises, or what a disk that fails would."""
        crash = self._random.random()
        if crash < self.crashing / 2:
            self._crash(process, "before")
            return None
        # What opens or closes a file has ways of its own to fail, and here does not.
        fails = self.failing and self._random.random() < self.failing
        if fails and connection is not None and not _closes(work):
            self.ailing = True
            self.injected("a disk error")
            raise _disk_error()
        try:
            result = self._work(connection, work)
        finally:
            self.worked(process)
        self.gave(process, work, result)
        if crash < self.crashing:
            self._crash(process, "after")
        return result

    def _work(self, connection: sqlite3.Connection | None, work: Callable[[], Any]) -> Any:
        if not self.full or connection is None:
            return work()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        try:
            return work()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
                self.ailing = True
                self.injected("no room on a disk")
            raise
        finally:
            if _is_open(connection):
                connection.execute(f"PRAGMA max_page_count = {ANY_NUMBER_OF_PAGES}")

    def _crash(self, process: Process, when: str) -> None:
        self.injected(f"{process} died right {when} it wrote")
        process.kill()

    # Loss of power: every process that is killed loses it

    def begin(self) -> None:
        """Notes what is on the disk for certain, before a process begins to use it."""
        self._unsynced = self.ailing = False
        for path in self.folder.glob("store.db*"):
            if path.suffix in (".db", ".db-wal"):
                shutil.copy(path, path.with_name(f"synced-{path.name}"))

    def let_go(self, connection: sqlite3.Connection) -> None:
        """Closes a connection whose process is dead. What it did not sync is lost."""
        connection.set_authorizer(None)
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        self._unsynced |= synchronous < SYNCHRONOUS_FULL
        if connection.in_transaction:
            connection.rollback()
        connection.close()

    def lose_what_is_not_synced(self) -> None:
        """Takes back what was written since ``begin`` without being synced."""
        if not self._unsynced:
            return
        self.injected("lost writes")
        self.changing_files()
        for path in list(self.folder.glob("store.db*")):
            path.unlink()
        for path in self.folder.glob("synced-*"):
            shutil.copy(path, path.with_name(path.name.removeprefix("synced-")))


class Connection(aiosqlite.Connection):
    """aiosqlite's connection, with the disk of its process in place of its thread."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> None:
        super().__init__(connector, iter_chunk_size)
        process = Process.current()
        assert process is not None, "only processes open databases"
        self._thread = cast(Any, _NoThread())
        self._tx = cast(Any, _Lane(process, self))

    def let_go(self, disk: Disk) -> None:
        """Closes what is open, as the end of its process does."""
        raw, self._connection = self._connection, None
        if raw is not None and _is_open(raw):
            disk.let_go(raw)

    @property
    def raw(self) -> sqlite3.Connection | None:
        """The connection beneath, if it is open."""
        return self._connection


class Lock:
    """Stands in for the kernel's lock on a store; it goes with its process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def take(cls, path: Path) -> "Lock":
        """Locks a file for the process that is running. Raises StoreRefusedError."""
        process = Process.current()
        assert process is not None, "only processes lock"
        owner = process.disk.owner
        if owner is not None and owner.alive and not owner.lock_lost:
            raise StoreRefusedError(f"the store {path} is owned by {owner}")
        process.disk.owner = process
        return cls(path)

    def release(self) -> None:
        """Lets go of the lock. Nothing is to be done: only one whose process has ended is taken over."""


class _NoThread:
    def start(self) -> None:
        """Does nothing; the lane needs no start."""


class _Lane:
    """Where the thread's queue was: takes pieces of work, and has them done in order."""

    def __init__(self, process: Process, connection: Connection) -> None:
        self._process = process
        self._connection = connection
        self._queue: deque[Work] = deque()
        process.at_death.append(self._cut)

    def put_nowait(self, work: Work) -> None:
        future, _ = work
        if not self._process.alive:
            if future is not None:
                future.cancel()
            return
        self._queue.append(work)
        if len(self._queue) == 1:
            self._begin()

    def _begin(self) -> None:
        seconds = self._process.disk.seconds()
        asyncio.get_running_loop().call_later(seconds, self._perform, context=contextvars.Context())

    def _perform(self) -> None:
        if not self._process.alive:
            return
        future, work = self._queue[0]
        error: BaseException | None = None
        result = None
        try:
            result = self._process.disk.perform(self._process, self._connection.raw, work)
        except BaseException as raised:  # whoever waits for the work raises it
            error = raised
        if self._process.alive and future is not None and not future.done():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if self._process.alive:
            self._queue.popleft()
            if self._queue:
                self._begin()

    def _cut(self) -> None:
        for future, _ in self._queue:
            if future is not None:
                future.cancel()
        self._connection.let_go(self._process.disk)


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.total_changes  # noqa: B018 # asks nothing of the database, and fails once it is closed
    except sqlite3.ProgrammingError:
        return False
    return True


def _closes(work: Callable[[], Any]) -> bool:
    return getattr(getattr(work, "func", work), "__name__", "") in ("close", "close_and_stop")


def _disk_error() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    error.sqlite_errorname = "SQLITE_IOERR"
    return error
