"""Which files the SQLite store opens, and what it says of the others."""
# ruff: noqa: ASYNC240 - nobody waits for the event loop of a test

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from amends_coordinator.core.facts import Event
from amends_coordinator.store import MemoryStore, SqliteStore, open_store, queries
from amends_coordinator.store.interface import StoreRefusedError
from amends_coordinator.store.opening import APPLICATION_ID, migrations
from tests.store.store_sagas import NOW, more, start, started

NOBODY = 65534


async def refusal(path: Path) -> str:
    with pytest.raises(StoreRefusedError) as caught:
        await SqliteStore.open(path)
    return str(caught.value)


@pytest.fixture
async def written(path: Path) -> Path:
    """A file with some sagas, closed."""
    store = await SqliteStore.open(path)
    for number in range(30):
        await store.append([start(f"saga-{number}"), more(f"saga-{number}", 2)])
    await store.close()
    return path


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, and no right to anything else: the superuser may write even what is read-only."""
    folder = Path(tempfile.mkdtemp())
    superuser = os.geteuid() == 0
    if superuser:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield folder
    folder.chmod(0o700)
    if superuser:
        os.seteuid(0)
    shutil.rmtree(folder)


async def test_a_relative_url_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await open_store("sqlite:///here.db")
    await store.close()
    assert (tmp_path / "here.db").is_file()


async def test_an_absolute_url_has_four_slashes(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}")
    assert repr(store) == f"<SqliteStore {path}>"
    await store.close()
    assert path.is_file()


async def test_a_name_may_hold_what_means_something_in_a_url(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "a?mode=rw#% b.db")
    await store.append([start("a")])
    assert len(await store.read_log("a")) == 1
    await store.close()


async def test_memory_is_a_store_too() -> None:
    assert isinstance(await open_store("memory:"), MemoryStore)


@pytest.mark.parametrize("url", ["", "amends.db", "sqlite://amends.db", "sqlite:///", "postgres://host/db"])
async def test_another_url_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(StoreRefusedError, match=r"write sqlite:///relative\.db"):
        await open_store(url)


async def test_p1_what_was_appended_survives_closing(written: Path) -> None:
    store = await SqliteStore.open(written)
    assert (await store.read_log("saga-7"))[0] == Event(1, NOW, started())
    await store.close()


async def test_closing_empties_the_write_ahead_log(written: Path) -> None:
    """So that a copy of the one file is a backup."""
    names = {found.name for found in written.parent.iterdir()}
    assert names == {"amends.db", "amends.db.lock"}


async def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.touch()
    await (await SqliteStore.open(path)).close()


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"These are notes, not sagas. " * 100)
    assert "no SQLite database, or is damaged; name another file or restore it" in await refusal(path)
    assert path.read_bytes().startswith(b"These are notes")


async def test_a_database_of_another_application_is_refused_and_left_as_it_is(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = path.read_bytes()
    assert "a database of another application; name another file" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_newer_file_is_refused(written: Path) -> None:
    connection = sqlite3.connect(written)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    message = await refusal(written)
    assert "it has version 99, and this coordinator knows versions up to 2" in message
    assert "run the newer coordinator" in message


async def test_a_file_cut_short_is_refused(written: Path) -> None:
    os.truncate(written, written.stat().st_size // 2 // 4096 * 4096)
    assert "damaged; stop the coordinator and restore it from a backup" in await refusal(written)


async def test_a_file_with_a_damaged_page_is_refused(written: Path) -> None:
    """The first page of a table, of which every other is found."""
    connection = sqlite3.connect(written)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").fetchone()
    connection.close()
    with written.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert "restore it from a backup" in await refusal(written)


async def test_a_file_without_one_of_our_indexes_is_refused(written: Path) -> None:
    connection = sqlite3.connect(written)
    connection.execute("DROP INDEX sagas_by_state")
    connection.close()
    assert "changed by hand; restore it from a backup" in await refusal(written)


async def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "see that its folder exists" in await refusal(tmp_path / "none" / "amends.db")


async def test_a_folder_is_no_store(tmp_path: Path) -> None:
    assert "see that its folder exists" in await refusal(tmp_path)


async def test_a_read_only_folder_is_refused(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    assert "that the coordinator may write there" in await refusal(unprivileged / "amends.db")


async def test_a_read_only_file_is_refused(unprivileged: Path) -> None:
    path = unprivileged / "amends.db"
    await (await SqliteStore.open(path)).close()
    path.chmod(0o400)
    assert "allow the coordinator to write the file and its folder" in await refusal(path)


async def test_a_refused_file_is_given_up(path: Path) -> None:
    """Nothing holds on to it once the operator has made it right."""
    path.write_bytes(b"no database" * 100)
    await refusal(path)
    path.unlink()
    await (await SqliteStore.open(path)).close()


def shape(*scripts: str) -> list[tuple[str, str, str]]:
    """What scripts make of an empty file: kind, name and text, without comments and spacing."""
    connection = sqlite3.connect(":memory:")
    for script in scripts:
        connection.executescript(script)
    found = connection.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY name"
    ).fetchall()
    connection.close()
    return [(kind, name, " ".join(_without_comments(text).split())) for kind, name, text in found]


def _without_comments(text: str) -> str:
    return "\n".join(line.partition("--")[0] for line in text.splitlines())


def test_all_migrations_together_yield_the_schema() -> None:
    assert shape(*migrations()) == shape(queries.SQL.joinpath("schema.sql").read_text("utf-8"))


def test_migrations_are_numbered_without_gaps() -> None:
    names = sorted(found.name for found in queries.SQL.joinpath("migrations").iterdir())
    assert [int(name.partition("_")[0]) for name in names] == list(range(1, len(names) + 1))


async def test_a_new_file_is_marked_as_ours(written: Path) -> None:
    connection = sqlite3.connect(written)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
    connection.close()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [*migrations(), "CREATE TABLE extra (x); INSERT INTO missing VALUES (1);"]
    monkeypatch.setattr("amends_coordinator.store.opening.migrations", lambda: broken)
    await refusal(written)
    monkeypatch.undo()
    store = await SqliteStore.open(written)
    assert len(await store.read_log("saga-7")) == 2
    await store.close()
