"""At the limits: a full disk, participants that hang or change their ways, a stop while everybody waits."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from amends import Client, Definition, Step
from amends.errors import NotFound, Unavailable
from sample_services.demo.processes import Process
from tests.integration.conftest import QUICK, Stage, three_steps
from tests.integration.ledger import UNARY

STOP_BOUND = 15.0
"""Two seconds for RPCs under way, five for calls in flight; the rest is for a machine that has much else to
do."""


@asynccontextmanager
async def full_disk(daemon: Process) -> AsyncIterator[None]:
    """Has every write of a daemon to a file fail, as on a full disk."""
    unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)


async def test_a_full_disk_refuses_loses_nothing_and_goes_on_when_there_is_room(stage: Stage) -> None:
    """P1, P4: what was accepted completes once there is room; what was refused has not happened; health and
    looking go on all the while."""
    await stage.start_ledger()
    (stage.switches / "first").touch()
    daemon = await stage.start_daemon()
    async with stage.client() as client, Client(stage.listen, patience=0.0) as impatient:
        accepted = [f"accepted-{number}" for number in range(20)]
        await asyncio.gather(*(client.start(three_steps(), {}, saga_id=saga_id) for saga_id in accepted))
        async with full_disk(daemon):
            with pytest.raises(Unavailable, match=r"store cannot be written: .*disk") as refused:
                await impatient.start(three_steps(), {}, saga_id="refused")
            assert refused.value.reason == "STORE_UNAVAILABLE"
            with pytest.raises(Unavailable):
                await impatient.cancel("accepted-0")
            with pytest.raises(NotFound):
                await impatient.get("refused")
            assert (await impatient.get("accepted-0")).state.name == "RUNNING"
            assert await _health(stage) == health_pb2.HealthCheckResponse.SERVING
            (stage.switches / "first").unlink()
        sagas = [await client.wait(saga_id, timeout=15.0) for saga_id in accepted]
        assert {saga.state.name for saga in sagas} == {"COMPLETED"}
        assert (await client.run(three_steps(), {}, saga_id="refused", timeout=10.0)).completed
    once = {"first": (1, 0), "second": (1, 0), "third": (1, 0)}
    assert all(stage.effects(saga_id) == once for saga_id in [*accepted, "refused"])


async def _health(stage: Stage) -> int:
    async with grpc.aio.insecure_channel(stage.listen) as channel:
        request = health_pb2.HealthCheckRequest(service="amends.v1.Coordinator")
        answer = await health_pb2_grpc.HealthStub(channel).Check(request)
        return int(answer.status)


# Participants that hang


async def test_a_hanging_participant_holds_up_no_saga_of_another(stage: Stage) -> None:
    """It is frozen with calls in flight; fifty sagas of the other one complete meanwhile."""
    await stage.start_ledger()
    late = await stage.start_late_ledger()
    await stage.start_daemon("--participant", f"late={stage.late_address}")
    slow = Definition("slow", [Step("only", "late", "do", timeout=100.0)])
    async with stage.client() as client:
        assert (await client.run(slow, {})).completed
        os.kill(late.pid, signal.SIGSTOP)
        try:
            for number in range(50):
                await client.start(slow, {}, saga_id=f"slow-{number}")
            sagas = await asyncio.gather(*(client.run(three_steps(), {}, timeout=50.0) for _ in range(50)))
            assert all(saga.completed for saga in sagas)
            assert (await client.get("slow-0")).state.name == "RUNNING"
        finally:
            os.kill(late.pid, signal.SIGCONT)
        sagas = [await client.wait(f"slow-{number}", timeout=20.0) for number in range(50)]
        assert all(saga.completed for saga in sagas)


async def test_a_stop_ends_within_its_bound_though_everybody_waits(tmp_path: Path) -> None:
    """A participant hangs, a client watches, another waits for an end: status 0, and nothing is lost. Both
    signals are tried at the same time, each with processes of its own, since most of this is waiting."""
    await asyncio.gather(*(_stop_by(tmp_path, number) for number in (signal.SIGTERM, signal.SIGINT)))


async def _stop_by(folder: Path, number: signal.Signals) -> None:
    stage = Stage(folder / number.name)
    stage.folder.mkdir()
    try:
        await _stop_while_everybody_waits(stage, number)
    finally:
        await stage.close()


async def _stop_while_everybody_waits(stage: Stage, number: signal.Signals) -> None:
    ledger = await stage.start_ledger()
    daemon = await stage.start_daemon()
    async with stage.client() as client:
        assert (await client.run(three_steps(), {})).completed
        os.kill(ledger.pid, signal.SIGSTOP)
        try:
            await client.start(three_steps(), {}, saga_id="a")
            waiting = [asyncio.create_task(client.wait("a")), asyncio.create_task(_watch(client))]
            begun = time.monotonic()
            os.kill(daemon.pid, number)
            assert await daemon.until_gone() == 0
            assert time.monotonic() - begun < STOP_BOUND
        finally:
            os.kill(ledger.pid, signal.SIGCONT)
        assert "Traceback" not in (stage.folder / "amends.log").read_text()
        await stage.start_daemon()
        assert (await waiting[0]).completed
        await waiting[1]
    assert stage.effects("a") == {"first": (1, 0), "second": (1, 0), "third": (1, 0)}


async def _watch(client: Client) -> None:
    async for _ in client.watch("a"):
        pass


# Participants that change their ways


async def test_p4_a_participant_may_lose_and_gain_its_stream_at_a_restart(stage: Stage) -> None:
    """With Exchange, then without, then with it again: sagas under way complete, each effect once."""
    ledger = await stage.start_ledger()
    await stage.start_daemon()
    async with stage.client() as client:
        ids = []
        for exchange in (False, True):
            (stage.switches / "second").touch()
            more = [f"{exchange}-{number}" for number in range(10)]
            ids += more
            await asyncio.gather(*(client.start(three_steps(), {}, saga_id=saga_id) for saga_id in more))
            await ledger.kill()
            unary = stage.switches / UNARY
            if exchange:
                unary.unlink()
            else:
                unary.touch()
            await ledger.start()
            (stage.switches / "second").unlink()
            for saga_id in more:
                assert (await client.wait(saga_id, timeout=15.0)).completed
    once = {"first": (1, 0), "second": (1, 0), "third": (1, 0)}
    assert all(stage.effects(saga_id) == once for saga_id in ids)


# Sagas that are large


async def test_a_saga_larger_than_any_message_can_be_looked_at(stage: Stage) -> None:
    """Twenty results of almost a mebibyte each: what the coordinator keeps must be readable."""
    await stage.start_ledger()
    await stage.start_daemon()
    steps = [Step(f"s{number}", "ledger", "bulky", needs=[], retry=QUICK) for number in range(20)]
    async with stage.client() as client:
        saga = await client.run(Definition("bulky", steps), {}, saga_id="bulky", timeout=30.0)
        assert saga.completed
        assert saga.proto.ByteSize() > 16 << 20
        assert len(await client.history("bulky")) == 22
