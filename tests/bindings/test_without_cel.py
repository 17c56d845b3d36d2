"""A coordinator without the extra that expressions need."""

import asyncio

import grpc
import pytest

from amends.v1 import saga_pb2
from tests.bindings.conftest import Stage, fault
from tests.bindings.trips import participant_step, trip, wanted

WITHOUT = "tests.bindings.without_cel"

State = saga_pb2.Saga.State


async def test_methods_are_refused_with_what_to_install(stage: Stage) -> None:
    """Definitions of actions are nobody's trouble."""
    await asyncio.gather(stage.start_desk(), stage.start_budget(), stage.start_daemon(module=WITHOUT))
    with pytest.raises(grpc.aio.AioRpcError, match=r"pip install 'amends\[bindings\]'") as raised:
        await stage.register(trip())
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    actions = saga_pb2.Definition(name="actions", steps=[participant_step("approve", "approve")])
    assert (await stage.run(actions, wanted(stage.releases.first))).state == State.COMPLETED


async def test_sagas_of_the_day_before_wait_for_it(stage: Stage) -> None:
    """They say what they wait for, and complete once it is there."""
    _, _, daemon = await asyncio.gather(stage.start_desk(), stage.start_budget(), stage.start_daemon())
    fault(stage, "ConfirmStay", "closed")
    await stage.start(trip(), wanted(stage.releases.first), "s")
    await stage.until("attempt_failed", step="confirm")
    await daemon.stop()
    (stage.faults / "ConfirmStay").unlink()
    without = await stage.start_daemon(module=WITHOUT)
    await stage.until("attempt_failed", step="confirm", words="pip install 'amends[bindings]'")
    await without.stop()
    await stage.start_daemon()
    assert (await stage.ended()).state == State.COMPLETED
