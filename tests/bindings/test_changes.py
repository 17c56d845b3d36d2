"""A service that is asked for its types, and changes them."""

import asyncio

import grpc
import pytest

from amends.v1 import saga_pb2
from tests.bindings.conftest import Stage, fault
from tests.bindings.trips import CONFIRM_AFTER_THE_CHANGE, trip, wanted

State = saga_pb2.Saga.State


async def test_a_saga_keeps_the_interface_that_it_was_started_with(stage: Stage) -> None:
    """The hotel renames a field and renumbers another while the saga waits, and the coordinator starts anew:
    the saga goes on as it began, and so does a definition that was registered before; what is started or
    registered now has to fit the new release."""
    first, second = stage.releases.first, stage.releases.second
    desk, _, daemon = await asyncio.gather(stage.start_desk(), stage.start_budget(), stage.start_daemon())
    await stage.register(trip())
    fault(stage, "ConfirmStay", "closed")
    await stage.start("trip", wanted(first), "old")
    await stage.start(trip(name="inline"), wanted(first), "old-inline")
    for saga_id in ("old", "old-inline"):
        await stage.until("attempt_failed", saga_id, step="confirm")
    await desk.stop()
    await stage.start_desk(release=second)
    await daemon.kill()
    await stage.start_daemon()
    (stage.faults / "ConfirmStay").unlink()
    assert (await stage.ended("old")).state == State.COMPLETED
    assert (await stage.ended("old-inline")).state == State.COMPLETED
    assert (await stage.run("trip", wanted(first), "registered-before")).state == State.COMPLETED
    for saga_id in ("old", "old-inline", "registered-before"):
        sent = _confirm(first.message("ConfirmStayRequest"), stage, saga_id)
        assert (sent.charge_to, sent.keys) == ("cc-7", 2)

    with pytest.raises(grpc.aio.AioRpcError, match="charge_to"):
        await stage.run(trip(name="inline"), wanted(first), "refused")
    new = trip(confirm_by=CONFIRM_AFTER_THE_CHANGE)
    assert (await stage.run(new, wanted(second), "new")).state == State.COMPLETED
    sent = _confirm(second.message("ConfirmStayRequest"), stage, "new")
    assert (sent.account, sent.keys) == ("cc-7", 2)
    assert (await stage.register(new)).version == 2
    assert (await stage.run("trip", wanted(second), "new-by-name")).state == State.COMPLETED
    sent = _confirm(second.message("ConfirmStayRequest"), stage, "new-by-name")
    assert (sent.account, sent.keys) == ("cc-7", 2)


async def test_a_change_is_seen_while_the_coordinator_runs(stage: Stage) -> None:
    """The hotel is replaced by its next release: what is registered from then on has to fit that one."""
    desk, *_ = await asyncio.gather(stage.start_desk(), stage.start_budget(), stage.start_daemon())
    customer = wanted(stage.releases.first)
    await stage.register(trip())
    await desk.kill()
    await stage.start_desk(release=stage.releases.second)
    assert (await stage.run("trip", customer, "over-a-new-connection")).state == State.COMPLETED
    with pytest.raises(grpc.aio.AioRpcError, match="charge_to"):
        await stage.register(trip(name="after"))
    await stage.register(trip(name="after", confirm_by=CONFIRM_AFTER_THE_CHANGE))
    assert (await stage.run("after", customer, "after")).state == State.COMPLETED


async def test_services_that_describe_a_message_differently_cannot_meet_in_a_definition(stage: Stage) -> None:
    """Nobody could say which is meant; with descriptors that are sent, those are."""
    annex = Stage(stage.folder / "annex", stage.releases)
    annex.folder.mkdir()
    try:
        await asyncio.gather(
            stage.start_desk(),
            annex.start_desk(release=stage.releases.second),
            stage.start_budget(),
            stage.start_daemon("--participant", f"annex={annex.desk_address}"),
        )
        definition = trip()
        definition.steps[1].participant = "annex"
        with pytest.raises(grpc.aio.AioRpcError, match=r"describe \S+ConfirmStayRequest differently"):
            await stage.register(definition)
        definition.descriptors.CopyFrom(stage.releases.first.descriptors)
        await stage.register(definition)
    finally:
        await annex.close()


@pytest.mark.parametrize("reflection", ["v1", "v1alpha"])
async def test_a_service_is_asked_in_either_version_of_reflection(stage: Stage, reflection: str) -> None:
    """Older servers know v1alpha only, and some newer ones v1 only."""
    await asyncio.gather(stage.start_desk(reflection=reflection), stage.start_budget(), stage.start_daemon())
    assert (await stage.run(trip(), wanted(stage.releases.first))).state == State.COMPLETED


async def test_a_service_without_reflection_is_called_by_descriptors_that_were_sent(stage: Stage) -> None:
    """Nothing is asked of it but what the saga asks."""
    await asyncio.gather(stage.start_desk(reflection="off"), stage.start_budget(), stage.start_daemon())
    definition = trip()
    definition.descriptors.CopyFrom(stage.releases.first.descriptors)
    assert (await stage.run(definition, wanted(stage.releases.first))).state == State.COMPLETED


def _confirm(kind: object, stage: Stage, saga_id: str) -> object:
    calls = stage.calls("ConfirmStay", saga_id)
    return type(kind).FromString(calls[-1].request)
