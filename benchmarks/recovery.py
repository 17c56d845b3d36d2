"""How soon the daemon is back after SIGKILL, with many sagas unfinished.

``python -m benchmarks.recovery --sagas 10000 --json``

Half of the sagas are in doubt about their first step and half about their second, because the participant
of that step was stopped (SIGSTOP) when they came to it. Then the daemon is killed, and the participant goes
on. The clock starts with the new daemon's process, so Python's own start is included.
"""

import argparse
import asyncio
import signal
import time

import grpc

from amends import Client, Definition, Step
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, saga_pb2
from benchmarks._load import run_many, start_many
from benchmarks._participant import count_effects
from benchmarks._report import rounded, show
from benchmarks._work import COMPLETES, LONG_S, PARTICIPANT, THREE_STEPS, start_daemon, start_participant
from benchmarks._workspace import BenchmarkError, Program, Workspace, run, wait_until_quiet

STOPPED = "stopped"
"""The participant that does not answer while the daemon is killed."""

PATIENCE_S = 120.0
"""How long recovery may take; beyond that there is no figure."""

POLL_S = 0.05
"""Seconds between looks at whether all sagas have ended; the error of that figure."""

STOPPED_AT_FIRST = Definition(
    "stopped-at-first",
    [
        Step("first", STOPPED, "apply", timeout=LONG_S),
        Step("second", PARTICIPANT, "apply"),
        Step("third", PARTICIPANT, "apply"),
    ],
)
STOPPED_AT_SECOND = Definition(
    "stopped-at-second",
    [
        Step("first", PARTICIPANT, "apply"),
        Step("second", STOPPED, "apply", timeout=LONG_S),
        Step("third", PARTICIPANT, "apply"),
    ],
)


async def measure(sagas: int) -> dict[str, object]:
    """Measures with so many sagas unfinished, and returns the figures by name.

    Raises:
        BenchmarkError: there are none, and why.
    """
    async with Workspace() as workspace:
        participant = await start_participant(workspace)
        stopped = await start_participant(workspace, STOPPED)
        daemon = await start_daemon(workspace, participant, stopped)
        await _leave_unfinished(daemon, participant, stopped, sagas)
        await daemon.kill()
        stopped.send(signal.SIGCONT)
        await wait_until_quiet(stopped)  # what it had received before is not the new daemon's affair

        begun = time.perf_counter()
        daemon = await start_daemon(workspace, participant, stopped)
        listening = time.perf_counter() - begun
        async with Client(daemon.address) as client:
            await client.start(THREE_STEPS, COMPLETES)
        accepted = time.perf_counter() - begun
        await _wait_until_all_ended(daemon.address)
        finished = time.perf_counter() - begun
        _check_effects(workspace, sagas)
    return {
        **rounded([("listening_s", listening), ("accepted_s", accepted), ("finished_s", finished)]),
        "sagas": sagas,
    }


async def _leave_unfinished(daemon: Program, participant: Program, stopped: Program, sagas: int) -> None:
    async with Client(daemon.address) as client:
        for definition in (STOPPED_AT_FIRST, STOPPED_AT_SECOND):  # so that everybody is connected
            await run_many(client, definition, 1)
        stopped.send(signal.SIGSTOP)
        await start_many(client, STOPPED_AT_FIRST, sagas // 2)
        await start_many(client, STOPPED_AT_SECOND, sagas // 2)
        await wait_until_quiet(daemon, participant)


async def _wait_until_all_ended(address: str) -> None:
    unfinished = [saga_pb2.Saga.RUNNING, saga_pb2.Saga.COMPENSATING, saga_pb2.Saga.PARKED]
    request = coordinator_pb2.ListSagasRequest(states=unfinished, page_size=1)
    async with grpc.aio.insecure_channel(address) as channel:
        list_sagas = coordinator_pb2_grpc.CoordinatorStub(channel).ListSagas
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (await list_sagas(request)).sagas:  # noqa: ASYNC110 # another process is asked
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise BenchmarkError(f"there are unfinished sagas after {PATIENCE_S:g} s") from None


def _check_effects(workspace: Workspace, sagas: int) -> None:
    runs = 2 * (sagas // 2) + 2  # the two that came first
    found = [count_effects(workspace.folder, name) for name in (PARTICIPANT, STOPPED)]
    expected = [(2 * runs + 3, 0), (runs, 0)]  # and the new saga's three steps
    if found != expected:
        raise BenchmarkError(f"the participants should have {expected} rows, standing and undone: {found}")


def main() -> None:
    """Measures as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery",
        description="Measures how soon the daemon is back after SIGKILL.",
    )
    parser.add_argument("--sagas", type=int, default=10_000, help="unfinished when the daemon is killed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    show(run(measure(options.sagas)), as_json=options.json)


if __name__ == "__main__":
    main()
