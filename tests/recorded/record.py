"""Writes down what this version leaves on disk: `python -m tests.recorded.record FOLDER`.

The real runtime drives every saga of `stories` on a real store until it rests, sleeps or has ended; then the
coordinator is killed. The clock begins at a fixed moment and runs as clocks do, so what is recorded twice
differs in its last digits.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from amends_coordinator.contract.facts import event_to_proto
from amends_coordinator.contract.sagas import saga_to_proto
from amends_coordinator.core import facts as f
from amends_coordinator.core.checks import check
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.fold import rebuild
from amends_coordinator.runtime.keeper import SWEEP_INTERVAL
from amends_coordinator.runtime.live import Waiter
from amends_coordinator.store import SqliteStore
from tests.recorded import fence
from tests.recorded.files import Shown, dump, restored, write_saga
from tests.recorded.stories import STORIES, Story
from tests.recorded.world import World, world

BEGIN = 1_750_000_000.0
"""The moment at which every recording begins."""


async def record_store(folder: Path) -> None:
    """Records the coordinator's side."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "amends.db")
        async with world(path, lambda: BEGIN) as running:
            await running.keeper.recovered.wait()
            await asyncio.gather(*(_play(running, saga_id, story) for saga_id, story in STORIES.items()))
            await asyncio.sleep(2 * SWEEP_INTERVAL)  # in which those that wait fall asleep
        dump(path, folder / "store.sql")
    async with restored(folder / "store.sql") as store:
        for saga_id, story in STORIES.items():
            write_saga(folder / "sagas" / f"{saga_id}.txt", story.tells, await show(store, saga_id))


async def _play(running: World, saga_id: str, story: Story) -> None:
    definition = Definition(name=f"of-{saga_id}", steps=tuple(story.steps), timeout=story.timeout)
    assert check(definition) == []
    for _ in range(story.version):  # a registered definition, with older versions that differ
        stored, _ = await running.store.put_definition(definition, running.timers.now())
        definition = Definition(
            name=stored.name, steps=stored.steps, timeout=stored.version * 86_400.0, version=stored.version
        )
    running.shop.says[saga_id] = story.says
    started: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    deadline = None if definition.timeout is None else running.timers.now() + definition.timeout
    content = {"step_inputs": {}, "labels": {}, **story.content}
    fact = f.SagaStarted(definition=definition, deadline=deadline, **content)
    running.runtime.start(saga_id, fact, Waiter(started.set_result, started.set_exception))
    await started
    await running.wait_for_rest(saga_id)
    for stimulus in story.wishes:
        await running.wish(saga_id, stimulus)
        await running.wait_for_rest(saga_id)


async def record_fence(folder: Path) -> None:
    """Records the participant's side, and what it answers from there."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "shop.db")
        await fence.play(path)
        dump(path, folder / "fence.sql")
    lines = await fence.interrogate(folder / "fence.sql")
    (folder / "fence.txt").write_text("\n".join([*lines, ""]), "utf-8")


async def show(store: SqliteStore, saga_id: str) -> Shown:
    """What clients see of a saga that is in a store."""
    events = await store.read_log(saga_id)
    return Shown(
        saga_to_proto(rebuild(saga_id, events)), [event_to_proto(saga_id, event) for event in events]
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    (target / "sagas").mkdir(parents=True)
    asyncio.run(record_store(target))
    asyncio.run(record_fence(target))
