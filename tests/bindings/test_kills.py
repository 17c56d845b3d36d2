"""Processes are killed while a saga calls plain methods."""

import asyncio

import pytest

from amends.v1 import saga_pb2
from tests.bindings.conftest import Stage, fault
from tests.bindings.trips import trip, vetoed_trip, wanted

State = saga_pb2.Saga.State

KILLS = [
    ("after", "SagaStarted", 1),
    ("before", "StepSucceeded", 2),  # the hotel has a hold, and nobody knows its id
    ("after", "StepSucceeded", 2),
    ("before", "StepSucceeded", 3),
    ("after", "CompensationStarted", 1),
    ("before", "StepCompensated", 2),  # the stay is cancelled, and nobody knows
    ("after", "StepCompensated", 2),
]


@pytest.mark.parametrize(("when", "fact", "number"), KILLS)
async def test_p2_p3_a_saga_is_compensated_across_a_kill_of_the_coordinator(
    stage: Stage, when: str, fact: str, number: int
) -> None:
    """What was in flight is called again with the same key and request, and the hotel does it once."""
    daemon, *_ = await asyncio.gather(
        stage.start_failing_daemon(when, fact, number), stage.start_desk(), stage.start_budget()
    )
    starting = asyncio.create_task(stage.start(vetoed_trip(), wanted(stage.releases.first), "s"))
    await daemon.until_gone()
    await stage.start_daemon()
    await asyncio.gather(starting, return_exceptions=True)  # it may have been accepted just before
    saga = await stage.ended()
    assert saga.state == State.COMPENSATED
    assert (stage.holds(), stage.stays(), stage.approvals()) == ([True], [True], [1, -1])
    for method in ("HoldRoom", "ConfirmStay", "CancelStay", "ReleaseHold"):
        keys = {call.metadata["idempotency-key"] for call in stage.calls(method)}
        assert (len(keys), len({call.request for call in stage.calls(method)})) == (1, 1)


async def test_a_saga_completes_across_a_kill_of_the_service(stage: Stage) -> None:
    """It is killed while the saga waits for it, and comes back at the same address."""
    desk, *_ = await asyncio.gather(stage.start_desk(), stage.start_budget(), stage.start_daemon())
    fault(stage, "ConfirmStay", "lost", "closed")
    await stage.start(trip(), wanted(stage.releases.first), "s")
    await stage.until("attempt_failed", step="confirm")
    await desk.kill()
    (stage.faults / "ConfirmStay").unlink()
    await desk.start()
    saga = await stage.ended()
    assert saga.state == State.COMPLETED
    assert (stage.holds(), stage.stays()) == ([False], [False])
    attempts = [int(call.metadata["amends-attempt"]) for call in stage.calls("ConfirmStay")]
    assert attempts == sorted(set(attempts))
    assert {call.metadata["idempotency-key"] for call in stage.calls("ConfirmStay")} == {"s/confirm"}


async def test_a_service_that_keeps_to_the_keys_does_all_once_though_killed_under_load(stage: Stage) -> None:
    """Calls that were answered, done and not answered, and not done at all are made again alike."""
    desk, *_ = await asyncio.gather(stage.start_desk(), stage.start_budget(), stage.start_daemon())
    await stage.register(trip())
    ids = [f"saga-{number}" for number in range(60)]
    ending = [
        asyncio.create_task(stage.run("trip", wanted(stage.releases.first), saga_id)) for saga_id in ids
    ]
    await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    await desk.kill()
    await desk.start()
    sagas = await asyncio.gather(*ending)
    assert {saga.state for saga in sagas} == {State.COMPLETED}
    for saga_id in ids:
        assert (stage.holds(saga_id), stage.stays(saga_id)) == ([False], [False])


async def test_a_saga_waits_for_a_service_that_is_down_where_descriptors_are_kept(stage: Stage) -> None:
    """A registered definition has what it needs, so that nobody has to be asked."""
    desk, *_ = await asyncio.gather(stage.start_desk(), stage.start_budget(), stage.start_daemon())
    await stage.register(trip())
    await desk.kill()
    await stage.start("trip", wanted(stage.releases.first), "s")
    failed = await stage.until("attempt_failed", step="hold-room")
    assert stage.desk_address in failed.attempt_failed.message
    await desk.start()
    assert (await stage.ended()).state == State.COMPLETED
