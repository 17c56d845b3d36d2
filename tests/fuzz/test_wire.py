"""Hostile bytes at every RPC of a real daemon and a real participant.

After each batch the process lives and does good work, and every answer was a clear one; in the end neither
has grown out of bounds.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import grpc
import pytest
import pytest_asyncio

from amends import Definition
from amends.v1 import coordinator_pb2, participant_pb2, participant_pb2_grpc
from tests.fuzz.effort import SEED, times
from tests.fuzz.hostile import Hostile
from tests.fuzz.messages import KNOWN, PAYLOAD, TO_DAEMON, TO_PARTICIPANT, definition_of_methods
from tests.fuzz.wire import Wire, memory_of
from tests.integration.conftest import Stage, three_steps

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]

DAEMON = coordinator_pb2.DESCRIPTOR.services_by_name["Coordinator"]
PARTICIPANT = participant_pb2.DESCRIPTOR.services_by_name["Participant"]

MESSAGES = times(150)
"""To each RPC."""

GROWTH_MAX = 128 << 20
"""Bytes of memory by which a process may grow, however many messages there are: what its caches and its
busiest moment take. With 3,000 messages to each RPC the daemon grew by 69 MB, and the participant by 23."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One daemon and one participant for all of these tests: none of them may harm them."""
    stage = Stage(tmp_path_factory.mktemp("wire"))
    try:
        await stage.start_ledger()
        await stage.start_daemon()
        async with stage.client() as client:
            assert (await client.run(three_steps(), {}, saga_id=KNOWN, timeout=10.0)).completed
        before = [memory_of(process.pid) for process in stage.processes]
        yield stage
        grown = [memory_of(p.pid) - b for p, b in zip(stage.processes, before, strict=True)]
        assert max(grown) < GROWTH_MAX, grown
    finally:
        await stage.close()


async def test_methods_are_called_before_they_are_disturbed(stage: Stage) -> None:
    """What is made hostile of their definition begins with a good one."""
    async with stage.client() as client:
        saga = await client.run(Definition.from_proto(definition_of_methods()), {"order": 7}, timeout=20.0)
        assert saga.completed, saga.turn_back


@pytest.mark.parametrize("method", [each.name for each in DAEMON.methods])
async def test_the_daemon_answers_anything(stage: Stage, method: str) -> None:
    """Clearly, and a good saga ends well right after."""
    hostile = Hostile(Random(f"{SEED}/{method}"), TO_DAEMON[method])
    async with grpc.aio.insecure_channel(stage.listen) as channel:
        wrong = await Wire(channel, DAEMON).send_all(method, [hostile.make() for _ in range(MESSAGES)])
        assert wrong == [], f"AMENDS_FUZZ_SEED={SEED}"
    async with stage.client() as client:
        assert (await client.run(three_steps(), {}, timeout=20.0)).completed


@pytest.mark.parametrize("method", [each.name for each in PARTICIPANT.methods])
async def test_the_participant_answers_anything(stage: Stage, method: str) -> None:
    """Clearly, and a good call is answered well right after."""
    hostile = Hostile(Random(f"{SEED}/{method}"), TO_PARTICIPANT[method])
    async with grpc.aio.insecure_channel(stage.ledger_address) as channel:
        wrong = await Wire(channel, PARTICIPANT).send_all(method, [hostile.make() for _ in range(MESSAGES)])
        assert wrong == [], f"AMENDS_FUZZ_SEED={SEED}"
        stub = participant_pb2_grpc.ParticipantStub(channel)
        request = participant_pb2.TryRequest(saga_id=f"good-{method}", step="a", action="do", input=PAYLOAD)
        assert (await stub.Try(request, timeout=5.0)).HasField("succeeded")  # type: ignore[misc]
