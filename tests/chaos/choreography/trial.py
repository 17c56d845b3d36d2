"""Sees whether faults in the SDK are noticed: ``python -m tests.chaos.choreography.trial [MUTANT]...``

Each mutant gets rounds until a promise is broken, or so many as are asked for.
"""

import argparse
import asyncio
import sys

from tests.chaos.choreography import plan
from tests.chaos.choreography.mutants import MUTANTS, NAMES
from tests.chaos.choreography.round import run


def main() -> int:
    """Runs the mutants that the command line names, or all; returns 0 if all were caught, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.choreography.trial", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", help="which (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="for each, at most (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of each first round (default: 1)")
    parser.add_argument("--bus", choices=plan.BUSES, default="sqlite", help="(default: sqlite)")
    options = parser.parse_args()
    unknown = set(options.mutants) - set(NAMES)
    if unknown:
        parser.error(f"there is no mutant {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    chosen = options.mutants or NAMES
    caught = 0
    for mutant in MUTANTS:
        if mutant.name in chosen:
            told = catch(mutant.name, options.bus, range(options.seed, options.seed + options.rounds))
            caught += bool(told)
            print(f"{mutant.name:50} {told or 'SURVIVED'}", flush=True)
    print(f"{caught} of {len(chosen)} mutants caught")
    return 0 if caught == len(chosen) else 1


def catch(mutant: str, bus: str, seeds: range) -> str:
    """Runs rounds with a mutant; returns what the first broken promise was, empty if it was never noticed."""
    for number, seed in enumerate(seeds, 1):
        outcome = asyncio.run(run(plan.draw(seed, bus), mutant))
        if outcome.violations:
            first, *_ = outcome.violations[0].splitlines()
            return f"round {number}, {len(outcome.violations)} violations: {first}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
