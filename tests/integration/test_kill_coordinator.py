"""The coordinator is killed by SIGKILL at every kind of durable point, and started again.

Whatever the point, the saga ends as it would have, and every effect is made once and undone at most once.
"""

import asyncio

import pytest

from sample_services.demo.processes import ProcessError
from tests.integration.conftest import Stage, three_steps

FORWARD = [
    ("after", "SagaStarted", 1),
    ("before", "StepSucceeded", 1),
    ("after", "StepSucceeded", 1),
    ("before", "StepSucceeded", 2),
    ("after", "StepSucceeded", 2),
    ("before", "SagaCompleted", 1),
    ("after", "SagaCompleted", 1),
]
BACKWARD = [
    ("before", "CompensationStarted", 1),
    ("after", "CompensationStarted", 1),
    ("before", "StepCompensated", 1),
    ("after", "StepCompensated", 1),
    ("before", "SagaCompensated", 1),
    ("after", "SagaCompensated", 1),
]


async def _end_of_saga_across_a_kill(stage: Stage, when: str, fact: str, number: int, last: str) -> str:
    """Runs a saga during which the coordinator dies and comes back; returns the state in which it ended."""
    await stage.start_ledger()
    daemon = await stage.start_failing_daemon(when, fact, number)
    async with stage.client() as client:
        ending = asyncio.create_task(
            client.run(three_steps(last), {}, saga_id="the-saga")
        )  # one call, across the crash
        await daemon.until_gone()
        await stage.start_daemon()
        saga = await ending
    return saga.state.name


@pytest.mark.parametrize(("when", "fact", "number"), FORWARD)
async def test_p1_p2_p4_a_saga_completes_across_a_kill(
    stage: Stage, when: str, fact: str, number: int
) -> None:
    """Killed on the way forward, the saga completes, and each effect is there once."""
    assert await _end_of_saga_across_a_kill(stage, when, fact, number, "do") == "COMPLETED"
    assert stage.effects("the-saga") == {"first": (1, 0), "second": (1, 0), "third": (1, 0)}


@pytest.mark.parametrize(("when", "fact", "number"), BACKWARD)
async def test_p2_p3_p4_a_saga_is_compensated_across_a_kill(
    stage: Stage, when: str, fact: str, number: int
) -> None:
    """Killed on the way back, the saga is compensated, and each effect was made once and undone once."""
    assert await _end_of_saga_across_a_kill(stage, when, fact, number, "refuse") == "COMPENSATED"
    assert stage.effects("the-saga") == {"first": (1, 1), "second": (1, 1)}


async def test_p1_what_was_accepted_survives_a_kill_one_instruction_later(stage: Stage) -> None:
    """Fifty sagas are accepted, the coordinator is killed at once: all complete after the restart."""
    await stage.start_ledger()
    (stage.switches / "first").touch()
    daemon = await stage.start_daemon()
    async with stage.client() as client:
        ids = [f"saga-{number}" for number in range(50)]
        await asyncio.gather(*(client.start(three_steps(), {}, saga_id=saga_id) for saga_id in ids))
        await daemon.kill()
        (stage.switches / "first").unlink()
        await stage.start_daemon()
        sagas = await asyncio.gather(*(client.wait(saga_id) for saga_id in ids))
    assert {saga.state.name for saga in sagas} == {"COMPLETED"}
    assert all(stage.effects(saga_id)["third"] == (1, 0) for saga_id in ids)


async def test_p4_a_participant_killed_under_load_makes_every_effect_once(stage: Stage) -> None:
    """The participant is killed while sagas run through it: they all complete once it is back."""
    ledger = await stage.start_ledger()
    await stage.start_daemon()
    async with stage.client() as client:
        ids = [f"saga-{number}" for number in range(60)]
        ending = [asyncio.create_task(client.run(three_steps(), {}, saga_id=saga_id)) for saga_id in ids]
        await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        await ledger.kill()
        await ledger.start()
        sagas = await asyncio.gather(*ending)
    assert {saga.state.name for saga in sagas} == {"COMPLETED"}
    expected = {"first": (1, 0), "second": (1, 0), "third": (1, 0)}
    assert all(stage.effects(saga_id) == expected for saga_id in ids)


async def test_p9_a_second_coordinator_on_the_same_file_is_refused(stage: Stage) -> None:
    """The store belongs to one coordinator; another says so in one line and ends."""
    await stage.start_daemon()
    second = Stage(stage.folder)
    try:
        with pytest.raises(ProcessError, match="ended with status 1"):
            await second.start_daemon()
    finally:
        await second.close()
    last_line = (stage.folder / "amends.log").read_text().splitlines()[-1]
    assert "is owned by process" in last_line


async def test_an_orderly_stop_loses_nothing_and_exits_with_0(stage: Stage) -> None:
    """SIGTERM while sagas run: the daemon ends with status 0, and the sagas complete after the next start."""
    await stage.start_ledger()
    daemon = await stage.start_daemon()
    async with stage.client() as client:
        ids = [f"saga-{number}" for number in range(60)]
        ending = [asyncio.create_task(client.run(three_steps(), {}, saga_id=saga_id)) for saga_id in ids]
        await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        assert await daemon.stop() == 0
        await stage.start_daemon()
        sagas = await asyncio.gather(*ending)
    assert {saga.state.name for saga in sagas} == {"COMPLETED"}
