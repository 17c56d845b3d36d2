"""Fences that earlier versions left behind: today's SDK opens them, and answers as it would have then."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amends._fence import State
from tests.recorded.fence import interrogate
from tests.recorded.files import restore

VERSIONS = sorted(Path(__file__).parent.glob("*/fence.sql"))

of_every_version = pytest.mark.parametrize("file", VERSIONS, ids=lambda file: file.parent.name)


@of_every_version
def test_every_state_of_a_row_is_recorded(file: Path, tmp_path: Path) -> None:
    """A state that is added to the fence is added to the recordings."""
    restore(file, tmp_path / "shop.db")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        rows = connection.execute("SELECT DISTINCT state FROM amends_fence").fetchall()
    assert {state for (state,) in rows} == set(State)


@of_every_version
async def test_every_call_is_answered_as_it_was(file: Path) -> None:
    """In every state: a repetition, another use of the key, and a compensation with and without a result."""
    assert await interrogate(file) == file.with_name("fence.txt").read_text("utf-8").splitlines()
