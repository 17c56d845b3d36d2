"""The server around a participant: address, health, reflection, TLS, start and stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from amends import Context, Participant, ServerTls, StartError
from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc
from tests.sdk.participant.calls import try_request

CERTIFICATES = Path(__file__).parent / "certificates"
PROGRAM = """
import asyncio, sys
from amends import Context, Participant
shop = Participant("shop", store=sys.argv[2])
@shop.action
def act(order: dict, ctx: Context) -> None: ...
@shop.action
async def kill(order: dict, ctx: Context) -> None:
    asyncio.current_task().cancel()
    await asyncio.sleep(0)
shop.serve(sys.argv[1])
"""


@pytest.fixture
async def participant() -> AsyncIterator[Participant]:
    participant = Participant("shop", store="memory:")

    @participant.action
    def act(order: dict, ctx: Context) -> dict:  # type: ignore[type-arg]
        """Does it.

        At length.
        """
        return {}

    @act.compensate
    def undo(order: dict, result: dict | None, ctx: Context) -> None:  # type: ignore[type-arg]
        pass

    yield participant
    await participant.stop()


async def test_describe_lists_the_actions(participant: Participant) -> None:
    port = await participant.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        found = await participant_pb2_grpc.ParticipantStub(channel).Describe(pb.DescribeRequest())  # type: ignore[misc]
    assert found.participant == "shop"
    (action,) = found.actions
    assert (action.name, action.compensatable, action.description) == ("act", True, "Does it.")
    assert (action.input_type, action.result_type) == ("google.protobuf.Struct",) * 2


async def test_a_fault_is_a_status_with_its_reason(participant: Participant) -> None:
    port = await participant.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = participant_pb2_grpc.ParticipantStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Try(try_request(action="fly"))  # type: ignore[misc]
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "act" in str(failure.value.details())


async def test_health_and_reflection_are_served(participant: Participant) -> None:
    port = await participant.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="amends.v1.Participant")
        assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING  # type: ignore[misc]
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]
        call = reflection.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        names = [service.name for service in (await call.read()).list_services_response.service]
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
    assert "amends.v1.Participant" in names


async def test_mutual_tls_admits_only_callers_with_a_certificate(participant: Participant) -> None:
    tls = ServerTls(
        cert=CERTIFICATES / "server.pem",
        key=CERTIFICATES / "server.key",
        client_ca=CERTIFICATES / "client.pem",
    )
    port = await participant.start("127.0.0.1:0", tls=tls)
    root = (CERTIFICATES / "server.pem").read_bytes()
    pair = [(CERTIFICATES / name).read_bytes() for name in ("client.key", "client.pem")]
    known = grpc.ssl_channel_credentials(root, *pair)
    async with grpc.aio.secure_channel(f"localhost:{port}", known) as channel:
        stub = participant_pb2_grpc.ParticipantStub(channel)
        assert (await stub.Describe(pb.DescribeRequest())).participant == "shop"  # type: ignore[misc]
    unknown = grpc.ssl_channel_credentials(root)
    async with grpc.aio.secure_channel(f"localhost:{port}", unknown) as channel:
        stub = participant_pb2_grpc.ParticipantStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Describe(pb.DescribeRequest())  # type: ignore[misc]


async def test_a_missing_certificate_is_a_start_error(participant: Participant) -> None:
    with pytest.raises(StartError, match=r"cannot read nowhere\.key"):
        await participant.start("127.0.0.1:0", tls=ServerTls(cert="nowhere.pem", key="nowhere.key"))


async def test_a_port_in_use_is_a_start_error_and_the_participant_may_start_elsewhere(
    participant: Participant,
) -> None:
    other = Participant("other", store="memory:")
    port = await other.start("127.0.0.1:0")
    with pytest.raises(StartError, match="in use"):
        await participant.start(f"127.0.0.1:{port}")
    await other.stop()
    assert await participant.start(f"127.0.0.1:{port}") == port


def serve(address: str, store: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, address, store]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_listens_and_ends_on_a_signal(number: int, tmp_path: Path) -> None:
    process = serve("127.0.0.1:0", f"sqlite:///{tmp_path / 'shop.db'}")
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline().startswith("shop: listening on 127.0.0.1:")
        os.kill(process.pid, number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


async def test_serve_exits_with_an_error_when_it_cannot_answer_any_more(tmp_path: Path) -> None:
    with serve("127.0.0.1:0", f"sqlite:///{tmp_path / 'shop.db'}") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = process.stdout.readline().strip().rpartition(":")[2]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = participant_pb2_grpc.ParticipantStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Try(try_request(action="kill"))  # type: ignore[misc]
        assert process.wait(20) == 1
        assert "shop: stopped, since it could not answer calls any more" in process.stderr.read()


async def test_serve_on_a_port_in_use_says_so_in_one_line(participant: Participant) -> None:
    port = await participant.start("127.0.0.1:0")
    with serve(f"127.0.0.1:{port}", "memory:") as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    # gRPC's own library may have logged a line before.
    assert said.splitlines()[-1].startswith(f"shop: cannot listen at 127.0.0.1:{port}: the port is in use")
    assert "Traceback" not in said


def test_serve_on_an_unusable_store_says_so_in_one_line(tmp_path: Path) -> None:
    with serve("127.0.0.1:0", f"sqlite:///{tmp_path}/missing/shop.db") as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert "check that its folder exists" in said
