"""What the command does: runs worlds on all processors, and says what came of them."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.simulation import mutants
from tests.simulation.plan import MAX_SAGAS, Fault, Scope
from tests.simulation.running import Result, run
from tests.simulation.shrinking import shrink

COMMAND = "python -m tests.simulation"

TOLD = 90
"""Lines of a story that are told: the last ones, in which it goes wrong."""

CHUNK = 5
"""Worlds handed to a process at a time."""


@dataclass(slots=True)
class Tally:
    """What has been counted so far."""

    worlds: int = 0
    sagas: int = 0
    faults: int = 0
    broken: list[int] = field(default_factory=list)  # seeds

    def __str__(self) -> str:
        return f"{self.worlds} seeds, {self.sagas} sagas, {self.faults} faults, {len(self.broken)} violations"


def scope(sagas: int | None, without: str, variation: int) -> Scope:
    """Reads the options of a smaller world."""
    left_out = {Fault(name) for name in without.split(",") if name}
    return Scope(frozenset(Fault) - left_out, MAX_SAGAS if sagas is None else sagas, variation)


def run_many(first: int, count: int) -> int:
    """Runs so many worlds, and tells the story of each that broke a promise."""
    tally = Tally()
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count()) as pool:
        seeds = range(first, first + count)
        for seed, sagas, faults, broken in pool.imap(_run_counted, seeds, chunksize=CHUNK):
            tally.worlds += 1
            tally.sagas += sagas
            tally.faults += faults
            if broken:
                tally.broken.append(seed)
                print(f"seed {seed}: {broken}", flush=True)
            if tally.worlds % 100 == 0 and tally.worlds < count:
                print(tally, flush=True)
    for seed in tally.broken[:3]:
        print()
        tell(shrink(run(seed)))
    print(tally)
    return 1 if tally.broken else 0


def _run_counted(seed: int) -> tuple[int, int, int, str]:
    result = run(seed)
    return seed, result.sagas, result.story.faults, result.broken


def run_one(seed: int, part: Scope) -> int:
    """Runs one world and tells its whole story."""
    result = run(seed, part)
    for line in result.story.lines:
        print(line)
    print(f"seed {seed}: {result.sagas} sagas, {result.story.faults} faults, digest {result.story.digest}")
    print(result.broken or "no promise was broken")
    return 1 if result.broken else 0


def run_until_broken(first: int, count: int) -> int:
    """Runs worlds until one breaks a promise."""
    for seed in range(first, first + count):
        result = run(seed)
        if result.broken:
            print(f"seed {seed}: {result.broken}")
            return 1
    print(f"{count} seeds, and no promise was broken")
    return 0


def tell(result: Result) -> None:
    """Tells the end of a story in which a promise was broken, and how to see it again."""
    print(f"seed {result.seed} broke a promise: {result.broken}")
    lines = result.story.about(result.broken_saga)
    if len(lines) > TOLD:
        print(f"  ... {len(lines) - TOLD} lines before")
    for line in lines[-TOLD:]:
        print(f"  {line}")
    print(f"again: {COMMAND} --seed {result.seed}{result.scope.options()}")


def run_mutants(names: list[str], seeds: int) -> int:
    """Has every mutant run until it is caught, and says by what."""
    chosen = [mutant for mutant in mutants.MUTANTS if mutant.name in names or not names]
    unknown = set(names) - {mutant.name for mutant in chosen}
    if unknown:
        print(f"there is no mutant {', '.join(sorted(unknown))}; there are: {', '.join(mutants.NAMES)}")
        return 2
    caught = 0
    try:
        for mutant, output in _each_caught(chosen, seeds):
            caught += bool(output)
            print(f"{mutant.name:60} {output or 'SURVIVED'}", flush=True)
    except MisfitError as error:
        print(error)
        return 2
    print(f"{caught} of {len(chosen)} mutants caught")
    return 0 if caught == len(chosen) else 1


def _each_caught(chosen: list[mutants.Mutant], seeds: int) -> Iterator[tuple[mutants.Mutant, str]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(chosen, pool.map(lambda mutant: catch(mutant, seeds), chosen), strict=True)


def catch(mutant: mutants.Mutant, seeds: int, first: int = 1) -> str:
    """Runs a mutant in a process of its own; returns by what it was caught, or nothing."""
    command = [sys.executable, "-m", "tests.simulation", "--mutant", mutant.name]
    command += ["--seeds", str(seeds), "--first", str(first)]
    # Whoever measures which lines are run shall not be told of those of a mutant.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode not in (0, 1) or not done.stdout:
        raise MisfitError(done.stderr.strip().rpartition("\n")[2])
    return done.stdout.strip() if done.returncode == 1 else ""


class MisfitError(Exception):
    """A mutant that cannot be run: the code that it changes is another by now."""
