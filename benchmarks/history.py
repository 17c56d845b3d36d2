"""What a million finished sagas cost: at the start of the daemon, and when looking through them.

``python -m benchmarks.history --sagas 1000000 --json``

Two sagas, one completed and one compensated, are run by the daemon itself; SQL then multiplies their rows
and logs, with ids and times of their own. Starts with this file and with an empty one alternate, so that a
machine that drifts treats both alike.
"""

import argparse
import asyncio
import statistics
import time
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from amends import Client
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, saga_pb2
from benchmarks._multiply import CUSTOMERS, DAYS, multiply
from benchmarks._report import rounded, show
from benchmarks._work import COMPLETES, IS_COMPENSATED, THREE_STEPS, start_daemon, start_participant
from benchmarks._workspace import Workspace, run

STARTS = 7
"""Starts with each file; the median counts."""

LOOKS = 20
"""First pages of each kind that are asked for; the slowest counts."""

EMPTY, FULL = "empty.db", "full.db"


async def measure(sagas: int) -> dict[str, object]:
    """Measures with so many finished sagas, and returns the figures by name.

    Raises:
        BenchmarkError: there are none, and why.
    """
    async with Workspace() as workspace:
        await _write_files(workspace, sagas)
        starts: dict[str, list[float]] = {EMPTY: [], FULL: []}
        for _ in range(STARTS):
            for store, seconds in starts.items():
                seconds.append(await _time_start(workspace, store))
        pages = await _time_pages(workspace)
        size = (workspace.folder / FULL).stat().st_size
    empty, full = (statistics.median(starts[store]) for store in (EMPTY, FULL))
    return {
        **rounded([("start_empty_s", empty), ("start_full_s", full), ("start_ratio", full / empty)]),
        "first_page_ms": rounded((kind, max(seconds) * 1e3) for kind, seconds in pages.items()),
        "file_bytes": size,
        "sagas": sagas,
    }


async def _write_files(workspace: Workspace, sagas: int) -> None:
    participant = await start_participant(workspace)
    await (await start_daemon(workspace, participant, store=EMPTY)).stop()
    daemon = await start_daemon(workspace, participant, store=FULL)
    async with Client(daemon.address) as client:
        for content in (COMPLETES, IS_COMPENSATED):
            await client.run(THREE_STEPS, content, timeout=60)
    await daemon.stop()
    await participant.stop()
    await asyncio.to_thread(multiply, workspace.folder / FULL, sagas)


async def _time_start(workspace: Workspace, store: str) -> float:
    begun = time.perf_counter()
    daemon = await start_daemon(workspace, store=store)
    seconds = time.perf_counter() - begun
    await daemon.stop()
    return seconds


async def _time_pages(workspace: Workspace) -> dict[str, list[float]]:
    daemon = await start_daemon(workspace, store=FULL)
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        list_sagas = coordinator_pb2_grpc.CoordinatorStub(channel).ListSagas
        await list_sagas(coordinator_pb2.ListSagasRequest(page_size=1))  # connects
        return {
            kind: [await _time(list_sagas, look) for _ in range(LOOKS)] for kind, look in _looks().items()
        }


async def _time(list_sagas: Any, request: coordinator_pb2.ListSagasRequest) -> float:
    begun = time.perf_counter()
    await list_sagas(request)
    return time.perf_counter() - begun


def _looks() -> dict[str, coordinator_pb2.ListSagasRequest]:
    ask = coordinator_pb2.ListSagasRequest
    completed, compensated = saga_pb2.Saga.COMPLETED, saga_pb2.Saga.COMPENSATED
    customer = {"customer": f"customer-{CUSTOMERS // 2}"}
    long_ago = Timestamp(seconds=int(time.time()) - (DAYS - 1) * 86_400)
    return {
        "all": ask(),
        "completed": ask(states=[completed]),
        "compensated": ask(states=[compensated]),
        "running": ask(states=[saga_pb2.Saga.RUNNING]),
        "definition": ask(definition_name=THREE_STEPS.name),
        "other_definition": ask(definition_name="nothing-ran-this"),
        "label": ask(labels=customer),
        "other_label": ask(labels={"customer": "nobody"}),
        "label_and_state": ask(labels=customer, states=[compensated]),
        "long_ago": ask(created_before=long_ago),
        "needs_attention": ask(needs_attention=True),
    }


def main() -> None:
    """Measures as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.history", description="Measures what a long history costs."
    )
    parser.add_argument("--sagas", type=int, default=1_000_000, help="finished, in the file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    show(run(measure(options.sagas)), as_json=options.json)


if __name__ == "__main__":
    main()
