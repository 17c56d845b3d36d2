"""How much memory a saga in flight takes in the daemon.

``python -m benchmarks.memory --sagas 20000 --json``

A saga in flight spends its time in one of two states: a call of it is under way, or it waits for its next
attempt. Both are measured, each with a daemon of its own, with the first of three steps done, so that inputs
and a result are held too; nobody waits for the saga's end at the daemon. A daemon first runs some sagas to
their end, so that what it needs once, however few sagas there are, is not counted. What is counted is its
share of the machine's memory afterwards, garbage that the allocator has not given back included.
"""

import argparse

from amends import Client, Definition
from benchmarks._load import run_many, start_many
from benchmarks._participant import count_effects
from benchmarks._report import rounded, show
from benchmarks._usage import memory_bytes
from benchmarks._work import (
    DECIDED_LATER,
    NEVER_ANSWERED,
    PARTICIPANT,
    SILENT,
    THREE_STEPS,
    start_daemon,
    start_participant,
)
from benchmarks._workspace import BenchmarkError, Workspace, run, wait_until_quiet

WARM_UP_SAGAS = 2_000
"""Sagas run to their end beforehand: enough to fill every cache and pool once."""


async def measure(sagas: int) -> dict[str, object]:
    """Measures with so many sagas in flight, and returns the figures by name.

    Raises:
        BenchmarkError: there are none, and why.
    """
    called = await _bytes_per_saga(NEVER_ANSWERED, sagas)
    waiting = await _bytes_per_saga(DECIDED_LATER, sagas)
    return {
        **rounded([("bytes_per_saga_called", called), ("bytes_per_saga_waiting", waiting)]),
        "sagas": sagas,
    }


async def _bytes_per_saga(definition: Definition, sagas: int) -> float:
    async with Workspace() as workspace:
        participant = await start_participant(workspace)
        silent = await workspace.start(SILENT, "benchmarks._silent")
        # As many calls in flight as sagas: one that waits for its turn takes less than one that was sent.
        daemon = await start_daemon(
            workspace, participant, silent, options=("--max-calls-in-flight", str(sagas))
        )
        async with Client(daemon.address) as client:
            await run_many(client, THREE_STEPS, WARM_UP_SAGAS)
            await wait_until_quiet(daemon, participant, silent)
            before = memory_bytes(daemon.pid)
            await start_many(client, definition, sagas)
            await wait_until_quiet(daemon, participant, silent)
            after = memory_bytes(daemon.pid)
            first_steps = count_effects(workspace.folder, PARTICIPANT)[0] - 3 * WARM_UP_SAGAS
            running = await _count_running(client)
        if not first_steps == running == sagas:
            raise BenchmarkError(f"{sagas} sagas were started, {first_steps} got on, {running} are in flight")
    return (after - before) / sagas


async def _count_running(client: Client) -> int:
    return sum([1 async for _ in client.list(states=["RUNNING"])])


def main() -> None:
    """Measures as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description="Measures the daemon's memory per saga in flight."
    )
    parser.add_argument("--sagas", type=int, default=20_000, help="in flight at one time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    show(run(measure(options.sagas)), as_json=options.json)


if __name__ == "__main__":
    main()
