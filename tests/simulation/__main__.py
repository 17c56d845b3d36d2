"""The command: many worlds, one with its story, or mutants. See the package for how to call it."""

import argparse
import sys

from tests.simulation import mutants, mutating

SEEDS = 1_000
"""Worlds of a run for which nothing else is said."""

MUTANT_SEEDS = 600
"""Worlds in which a mutant has to be noticed at the latest."""


def main() -> int:
    """Runs the command; 0 if no promise was broken, or if every mutant was caught."""
    arguments = _parser().parse_args()
    # What is to be changed has to be known before anything else is imported.
    if arguments.mutant:
        mutating.install(mutants.named(arguments.mutant))
    from tests.simulation import commands

    if arguments.mutants is not None:
        return commands.run_mutants(arguments.mutants, arguments.seeds or MUTANT_SEEDS)
    scope = commands.scope(arguments.sagas, arguments.without, arguments.variation)
    if arguments.seed is not None:
        return commands.run_one(arguments.seed, scope)
    if arguments.mutant:
        return commands.run_until_broken(arguments.first, arguments.seeds or MUTANT_SEEDS)
    return commands.run_many(arguments.first, arguments.seeds or SEEDS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Runs coordinator, participants and clients in worlds in which everything goes wrong, "
        "each drawn from a seed, and checks the promises after every step.",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help=f"how many worlds (default {SEEDS:,})")
    parser.add_argument("--first", type=int, default=1, metavar="K", help="the seed of the first (default 1)")
    parser.add_argument("--seed", type=int, metavar="K", help="run this world only, and tell its story")
    parser.add_argument(
        "--mutants",
        nargs="*",
        metavar="NAME",
        help="put faults into the code, one at a time, and see them caught (default: all)",
    )
    parser.add_argument("--mutant", metavar="NAME", help="run with this fault in the code")
    small = parser.add_argument_group("a smaller world of the same seed")
    small.add_argument("--sagas", type=int, metavar="N", help="sagas at the most")
    small.add_argument("--without", default="", metavar="FAULT,...", help="kinds of faults to leave out")
    small.add_argument("--variation", type=int, default=0, metavar="N", help="draw everything else anew")
    return parser


if __name__ == "__main__":
    sys.exit(main())
