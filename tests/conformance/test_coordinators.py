"""The kit, as a client of coordinators."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from amends.v1 import coordinator_pb2, coordinator_pb2_grpc
from amends_coordinator.conformance import Verdict, certify_coordinator
from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT
from tests.addresses import free_address


class Coordinator:
    """Where ours listens, and where it expects the participant `kit`."""

    def __init__(self) -> None:
        self.address = free_address()
        self.participant = free_address()


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    """Ours, as a process."""
    made = Coordinator()
    process = Process(
        "amends",
        [
            *(sys.executable, "-m", "amends_coordinator.cli", "serve", "--metrics", "off"),
            *("--listen", made.address, "--participant", f"kit={made.participant}"),
            *("--store", f"sqlite:///{tmp_path}/amends.db"),
        ],
        log=tmp_path / "amends.log",
        cwd=ROOT,
        env=dict(os.environ),
    )
    await process.start()
    yield made
    await process.stop()


async def test_our_coordinator_passes_every_row(coordinator: Coordinator) -> None:
    """As a process, on SQLite."""
    async with grpc.aio.insecure_channel(coordinator.address) as channel:
        results = await certify_coordinator(channel, participant="kit", address=coordinator.participant)
    assert {(each.verdict, each.why) for each in results} == {(Verdict.PASSED, "")}


async def test_a_coordinator_that_knows_another_participant_fails_at_the_start(
    coordinator: Coordinator,
) -> None:
    """The row tells why, and what builds on it is skipped."""
    async with grpc.aio.insecure_channel(coordinator.address) as channel:
        results = await certify_coordinator(channel, participant="stranger", address=free_address())
    ended = {each.row: each for each in results}
    assert ended["start"].verdict is Verdict.FAILED
    assert "stranger" in ended["start"].why
    assert (ended["watch"].verdict, ended["watch"].why) == (
        Verdict.SKIPPED,
        "says nothing until start passes",
    )


class Wordless(coordinator_pb2_grpc.CoordinatorServicer):
    """Finds nothing, and does not say so as the contract has it."""

    async def GetSaga(self, _request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")

    async def WatchSaga(self, _request: Any, context: Any) -> AsyncIterator[None]:
        await context.abort(
            grpc.StatusCode.NOT_FOUND, "nothing here", (("grpc-status-details-bin", b"\x08\x03"),)
        )
        yield

    async def ListSagas(self, _request: Any, context: Any) -> coordinator_pb2.ListSagasResponse:
        return coordinator_pb2.ListSagasResponse()


async def test_a_coordinator_without_details_and_services_fails() -> None:
    """Each row tells what was expected and what came."""
    server = grpc.aio.server()
    coordinator_pb2_grpc.add_CoordinatorServicer_to_server(Wordless(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            results = await certify_coordinator(channel, participant="kit", address=free_address())
    finally:
        await server.stop(None)
    why = {each.row: each.why for each in results}
    assert Verdict.PASSED not in {each.verdict for each in results}
    assert why["health"] == "the health of '': UNIMPLEMENTED"
    assert why["reflection"] == "reflection failed with UNIMPLEMENTED"
    assert why["start"].startswith("StartSaga failed with UNIMPLEMENTED")
    assert why["unknown-saga"] == "GetSaga failed without an ErrorInfo of the domain 'amends' and a reason"
    assert why["list-malformed"] == "ListSagas should have failed with INVALID_ARGUMENT; it went well"
    assert why["malformed-saga-id"].startswith(
        "GetSaga should have failed with INVALID_ARGUMENT; it failed with NOT_FOUND"
    )
