"""Runs rounds of chaos: ``python -m tests.chaos --rounds 20``."""

import argparse
import asyncio
import logging
import secrets
import sys
from collections.abc import Sequence

from tests.chaos import plan
from tests.chaos.round import Outcome, run


def main() -> int:
    """Runs the rounds that the command line asks for; returns 0 if no promise was broken, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, help="the seed of the first round; each later one has the next")
    parser.add_argument("--seconds", type=float, help="how long faults go on in a round (default: drawn)")
    options = parser.parse_args()
    logging.getLogger("amends").setLevel(logging.ERROR)  # a client reports every absence of its coordinator
    first = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    outcomes = []
    for number in range(options.rounds):
        outcome = asyncio.run(run(plan.draw(first + number, seconds=options.seconds)))
        outcomes.append(outcome)
        print(f"round {number + 1}, {outcome}", flush=True)
        _tell_violations(outcome, options.seconds)
    return _conclude(outcomes)


def _tell_violations(outcome: Outcome, seconds: float | None) -> None:
    if not outcome.violations:
        return
    for violation in outcome.violations:
        print(f"  {violation}")
    again = "" if seconds is None else f" --seconds {seconds:g}"
    print("  The plan was:")
    for fault in outcome.plan.faults:
        print(f"    {fault}")
    print(
        f"  The same plan again: python -m tests.chaos --seed {outcome.plan.seed} --rounds 1{again}. "
        "It need not come to the same: which instruction a signal meets is not in the plan.",
        flush=True,
    )


def _conclude(outcomes: Sequence[Outcome]) -> int:
    sagas = sum(outcome.sagas.total() for outcome in outcomes)
    kills = sum(outcome.kills for outcome in outcomes)
    violations = sum(len(outcome.violations) for outcome in outcomes)
    print(f"{len(outcomes)} rounds, {sagas} sagas, {kills} kills, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
