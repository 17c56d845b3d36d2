"""Runs rounds of chaos: ``python -m tests.chaos --rounds 20``, or with ``--choreography``."""

import argparse
import asyncio
import logging
import secrets
import sys
from collections.abc import Sequence

from tests.chaos import plan
from tests.chaos import round as orchestration
from tests.chaos.choreography import plan as choreography_plan
from tests.chaos.choreography import round as choreography_round
from tests.chaos.choreography.round import Outcome as ChoreographyOutcome
from tests.chaos.round import Outcome as OrchestrationOutcome

Outcome = OrchestrationOutcome | ChoreographyOutcome


def main() -> int:
    """Runs the rounds that the command line asks for; returns 0 if no promise was broken, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, help="the seed of the first round; each later one has the next")
    parser.add_argument("--seconds", type=float, help="how long faults go on in a round (default: drawn)")
    parser.add_argument(
        "--choreography", action="store_true", help="services that coordinate by events, with no coordinator"
    )
    parser.add_argument(
        "--bus", choices=choreography_plan.BUSES, default="sqlite", help="theirs (default: sqlite)"
    )
    options = parser.parse_args()
    logging.getLogger("amends").setLevel(logging.ERROR)  # a client reports every absence of its coordinator
    first = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    outcomes = []
    for number in range(options.rounds):
        outcome = _run(first + number, options)
        outcomes.append(outcome)
        print(f"round {number + 1}, {outcome}", flush=True)
        _tell_violations(outcome, options)
    return _conclude(outcomes)


def _run(seed: int, options: argparse.Namespace) -> Outcome:
    if not options.choreography:
        return asyncio.run(orchestration.run(plan.draw(seed, seconds=options.seconds)))
    drawn = choreography_plan.draw(seed, options.bus, seconds=options.seconds)
    return asyncio.run(choreography_round.run(drawn))


def _tell_violations(outcome: Outcome, options: argparse.Namespace) -> None:
    if not outcome.violations:
        return
    for violation in outcome.violations:
        print(f"  {violation}")
    again = f" --choreography --bus {options.bus}" if options.choreography else ""
    again += "" if options.seconds is None else f" --seconds {options.seconds:g}"
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
