"""One owner, and nothing lost: the SQLite store across real processes."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amends_coordinator.core.fold import rebuild
from amends_coordinator.store import SqliteStore
from amends_coordinator.store.interface import StoreRefusedError
from tests.store.store_sagas import NOW, more, row, start

ROOT = Path(__file__).resolve().parents[2]

Spawn = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def spawn(path: Path) -> Iterator[Spawn]:
    """Runs a child on the store at ``path`` until it has opened it; kills what is left of it at the end."""
    children: list[subprocess.Popen[str]] = []

    def spawn_(deed: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.store.store_child", path, deed],
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=ROOT,
        )
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        return child

    yield spawn_
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


async def test_a_file_has_one_owner_even_in_one_process(sqlite: SqliteStore, path: Path) -> None:
    with pytest.raises(StoreRefusedError, match=r"owned by process \d+ on .+; stop that coordinator"):
        await SqliteStore.open(path)


async def test_a_link_to_an_owned_file_is_owned_too(sqlite: SqliteStore, path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(StoreRefusedError, match="owned by"):
        await SqliteStore.open(link)


async def test_the_next_owner_may_come_once_the_first_has_closed(path: Path) -> None:
    for _ in range(2):
        await (await SqliteStore.open(path)).close()


async def test_the_refusal_names_the_process_that_owns_the_file(spawn: Spawn, path: Path) -> None:
    child = spawn("own")
    with pytest.raises(StoreRefusedError, match=f"owned by process {child.pid} on "):
        await SqliteStore.open(path)


async def test_the_file_of_a_killed_owner_can_be_opened_at_once(spawn: Spawn, path: Path) -> None:
    child = spawn("own")
    child.kill()
    assert child.wait() == -signal.SIGKILL
    await (await SqliteStore.open(path)).close()


async def test_p1_sigkill_loses_nothing_that_was_acknowledged(spawn: Spawn, path: Path) -> None:
    child = spawn("write")
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(41)]
    child.kill()
    lines += child.stdout.readlines()
    acknowledged = dict(word.split("=") for line in lines for word in line.split() if word[-2:-1] == "=")
    store = await SqliteStore.open(path)
    try:
        logs = dict(await store.read_unfinished("", 100_000, NOW))
        assert len(acknowledged) > 100
        for saga_id, length in acknowledged.items():
            assert len(logs[saga_id]) >= int(length)
        for saga_id, events in logs.items():
            rebuild(saga_id, events)
    finally:
        await store.close()


async def test_p9_a_coordinator_that_lost_a_saga_can_write_nothing_more_for_it(path: Path) -> None:
    """Even where the lock fails to keep two writers apart, the sequence numbers do."""
    first = await SqliteStore.open(path)
    await first.append([start("a"), start("b")])
    path.with_name("amends.db.lock").unlink()
    second = await SqliteStore.open(path)
    try:
        assert await second.append([more("a", 2)]) == [None]
        refused, accepted = await first.append(
            [more("a", 2, renewed=row("a", needs_attention="?")), more("b", 2)]
        )
        assert refused is not None
        assert (refused.saga_id, accepted) == ("a", None)
        assert await second.get_row("a") == row("a")
    finally:
        await second.close()
        await first.close()
