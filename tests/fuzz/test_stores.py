"""A store with damaged rows: it opens, says which sagas are broken, and all others go on to their end."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from amends.v1 import event_pb2
from amends_coordinator.core.fold import BrokenLogError
from tests.fuzz.effort import SEED, times
from tests.fuzz.hostile import Hostile
from tests.recorded.files import restore
from tests.recorded.record import BEGIN
from tests.recorded.stories import DAY
from tests.recorded.test_recorded_logs import VERSIONS, finish, recorded
from tests.recorded.world import World, world

PATIENCE_S = 60.0


@pytest.mark.parametrize("seed", [SEED + number for number in range(times(12))])
async def test_damaged_rows_harm_their_own_sagas_only(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of the events of six sagas are damaged; whoever is to be resumed is told of by name."""
    random = Random(seed)
    folder = VERSIONS[-1]
    restore(folder / "store.sql", tmp_path / "amends.db")
    victims, awake = damage(tmp_path / "amends.db", random)
    sagas = recorded(folder)
    last = max(event.time.ToMicroseconds() for shown in sagas.values() for event in shown.events) / 1e6
    caplog.set_level(logging.ERROR)
    async with asyncio.timeout(PATIENCE_S), world(tmp_path / "amends.db", lambda: last + DAY) as running:
        await running.keeper.recovered.wait()
        for saga_id in sagas.keys() - victims:
            assert (await finish(running, saga_id, "retries")).state.ended
        for saga_id in victims:
            if await is_broken(running, saga_id) and saga_id in awake:
                assert saga_id in caplog.text


@pytest.mark.parametrize("seconds", [2**63 - 1, 10**12, -(2**63)])
async def test_a_moment_beyond_the_calendar_keeps_nobody_from_sleeping(seconds: int, tmp_path: Path) -> None:
    """A damaged time is still a time: its saga sleeps like the others, as long as a store can count."""
    path = tmp_path / "amends.db"
    restore(VERSIONS[-1] / "store.sql", path)
    with closing(sqlite3.connect(path)) as connection:
        key, sequence, data = connection.execute(
            "SELECT saga_key, max(sequence), data FROM events JOIN sagas ON key = saga_key WHERE id = ?",
            ("waits-for-a-retry",),
        ).fetchone()
        event = event_pb2.Event.FromString(data)
        event.attempt_failed.next_attempt_time.seconds = seconds
        change = "UPDATE events SET data = ? WHERE saga_key = ? AND sequence = ?"
        connection.execute(change, (event.SerializeToString(), key, sequence))
        connection.execute("DELETE FROM sleepers")
        connection.commit()
    async with asyncio.timeout(PATIENCE_S), world(path, lambda: BEGIN) as running:
        await running.keeper.recovered.wait()
        for saga_id in recorded(VERSIONS[-1]):
            await running.wait_for_rest(saga_id)
        await running.keeper._put_to_sleep()
        assert len(running.runtime) == 0


async def is_broken(running: World, saga_id: str) -> bool:
    """Whether a log cannot be read; nothing but BrokenLogError may come of it."""
    try:
        await running.runtime.read(saga_id)
    except BrokenLogError:
        return True
    return False


def damage(path: Path, random: Random) -> tuple[set[str], set[str]]:
    """Puts hostile bytes into events; tells of which sagas, and which sagas are read at the next start."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT id, saga_key, sequence, data FROM events JOIN sagas ON sagas.key = saga_key"
        ).fetchall()
        victims = set()
        chosen = random.sample(sorted({row[0] for row in found}), 6)
        for saga_id, key, sequence, data in found:
            if saga_id in chosen and random.random() < 0.5:
                hostile = Hostile(random, [event_pb2.Event.FromString(data)]).make()
                change = "UPDATE events SET data = ? WHERE saga_key = ? AND sequence = ?"
                connection.execute(change, (hostile, key, sequence))
                victims.add(saga_id)
        connection.commit()
        unfinished = (
            "SELECT id FROM sagas WHERE end_time IS NULL AND key NOT IN (SELECT saga_key FROM sleepers)"
        )
        return victims, {saga_id for (saga_id,) in connection.execute(unfinished)}
