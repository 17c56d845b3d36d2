"""Measures everything, and prints a table and one JSON object.

``python -m benchmarks`` takes about four minutes on two cores; ``--quick`` less than one, with figures that
only show that everything runs. Each benchmark is a process of its own, so that none finds what another left
behind.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks._goals import GOALS, Figures, Goal
from benchmarks._workspace import REPOSITORY, BenchmarkError, run

BENCHMARKS = (
    "exchange",
    "tracing",
    "unary",
    "methods",
    "rejected",
    "latency",
    "memory",
    "recovery",
    "history",
    "events",
    "nats",
)
"""Exchange and tracing are neighbours, because they are compared."""

_WIDTH = 56


def commands(*, quick: bool) -> dict[str, list[str]]:
    """The command line of each benchmark, by its name."""
    seconds = ["--seconds", "1" if quick else "10"]
    return {
        "exchange": ["benchmarks.sagas", *seconds],
        "tracing": ["benchmarks.sagas", *seconds, "--tracing"],
        "unary": ["benchmarks.sagas", *seconds, "--mode", "unary"],
        "methods": ["benchmarks.sagas", *seconds, "--mode", "methods"],
        "rejected": ["benchmarks.sagas", *seconds, "--rejected", "0.5"],
        "latency": ["benchmarks.sagas", *seconds, "--concurrency", "1"],
        "memory": ["benchmarks.memory", "--sagas", "1000" if quick else "20000"],
        "recovery": ["benchmarks.recovery", "--sagas", "500" if quick else "10000"],
        "events": ["benchmarks.choreography", *seconds],
        "nats": ["benchmarks.choreography", *seconds, "--bus", "nats"],
        "history": ["benchmarks.history", "--sagas", "10000" if quick else "1000000"],
    }


async def measure(names: Sequence[str], *, quick: bool) -> Figures:
    """Runs benchmarks one after another, and returns the figures of each.

    Raises:
        BenchmarkError: one of them has none.
    """
    found = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found[name] = await _run(commands(quick=quick)[name])
    return found


async def _run(command: Sequence[str]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, "--json", stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        raise
    if process.returncode:
        raise BenchmarkError(f"{' '.join(command)} has no figures")
    figures: dict[str, Any] = json.loads(output)
    return figures


def table(figures: Figures) -> str:
    """Shows what was measured beside the goals."""
    lines = [f"{'what':<{_WIDTH}}{'goal':>12}{'measured':>12}"]
    lines += [_line(goal, goal.measured(figures)) for goal in GOALS if goal.needs <= figures.keys()]
    return "\n".join(lines)


def _line(goal: Goal, measured: float) -> str:
    sign = ">=" if goal.at_least else "<="
    reached = "reached" if goal.reached(measured) else "MISSED"
    return (
        f"{goal.what:<{_WIDTH}}{f'{sign} {goal.bound:g} {goal.unit}':>12}{f'{measured:.3g}':>12}  {reached}"
    )


def main() -> None:
    """Measures as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Amends.")
    parser.add_argument("--quick", action="store_true", help="only show that everything runs")
    parser.add_argument(
        "--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS, metavar="NAME", help="some of them"
    )
    options = parser.parse_args()
    figures = run(measure(options.only, quick=options.quick))
    print(table(figures), end="\n\n")
    # The headline figures stand at the top, where programs look for them.
    print(json.dumps({**figures.get("exchange", {}), "benchmarks": figures}))


if __name__ == "__main__":
    main()
