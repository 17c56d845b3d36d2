"""Checks the model of the protocol with Spin, and that the check can fail: ``python docs/model/check.py``.

Every configuration is explored to its last state. Every end that matters must be reached. Every broken
variant has one fault, and must be caught breaking the promise that stands beside it. README.md says what the
model is of.
"""

# ruff: noqa: T201  a program that prints

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

DEPTH = 100_000
"""Steps of the longest run that can be followed: many times what any configuration has; more is an error."""

FAIR = 3
"""What Spin needs to be told where more than a handful of processes are to be treated fairly."""

FLAGS = ("-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=6000")
"""For the C compiler: states are kept compressed, nothing of them is lost, and they may take 6 GB at most."""


class Configuration(NamedTuple):
    """Bounds under which the whole state space is explored; those that are not named are in bounds.pml."""

    name: str
    bounds: str
    claims: str = ""  # the LTL properties to check; empty: the assertions, in every state
    quick: bool = False


class Variant(NamedTuple):
    """A fault of bounds.pml, the promise that it must be caught breaking, and the bounds that it takes."""

    name: str
    promise: str
    bounds: str = ""
    quick: bool = False


CONFIGURATIONS = (
    Configuration("one step", "STEPS=1 CRASHES=2 LOSSES=2 STATUSES=1 PENDINGS=1 REFUSALS=1", quick=True),
    Configuration("sequence", "STEPS=3 CRASHES=2 LOSSES=2 STATUSES=1"),
    Configuration("parallel", "FORK=1 STATUSES=1 REFUSALS=1"),
    Configuration("fork and join", "STEPS=3 FORK=1"),
    Configuration("pivot", "STEPS=3 PIVOT=1 CRASHES=2 LOSSES=2 STATUSES=1 PENDINGS=1"),
    Configuration("two owners", "TAKEOVERS=1 STATUSES=1"),
    Configuration("two owners, pending", "TAKEOVERS=1 CRASHES=0 STATUSES=1 PENDINGS=1"),
    Configuration("two owners, pivot", "STEPS=3 PIVOT=1 TAKEOVERS=1 CRASHES=0 STATUSES=1"),
    Configuration("two owners, turns gather", "TAKEOVERS=1 CRASHES=0 STATUSES=1 GATHER=2"),
    Configuration("two starts", "STEPS=1 STARTS=2 TAKEOVERS=1 STATUSES=1"),
    Configuration("ends", "REFUSALS=1", claims="p1 p2"),
    Configuration("ends, pivot", "PIVOT=1 STATUSES=1 PENDINGS=1", claims="p2 p8"),
    Configuration("ends, one step", "STEPS=1 STATUSES=1 REFUSALS=1", claims="p2", quick=True),
    Configuration("ends, two owners", "STEPS=1 TAKEOVERS=1 STATUSES=1", claims="p2 p3"),
)

ENDS = "PIVOT=1 TAKEOVERS=1 STATUSES=1 REFUSALS=1"
"""Bounds under which every end of ends.pml can be reached."""

VARIANTS = (
    Variant("ANSWER_BEFORE_COMMIT", "P1", quick=True),
    Variant("RECOVER_NOTHING", "P2"),
    Variant("COMPENSATE_ONCE", "P2"),
    Variant("DOUBT_FORGOTTEN", "P3", "STATUSES=1"),
    Variant("RECOVERY_FORGETS", "P3", "STATUSES=1 WISHES=0"),
    Variant("PENDING_BELIEVED", "P3", "STATUSES=1 PENDINGS=1"),
    Variant("TRY_RUNS_AGAIN", "P4"),
    Variant("UNDO_RUNS_AGAIN", "P4"),
    Variant("NO_TOMBSTONE", "P5", quick=True),
    Variant("TOMBSTONE_UNCHECKED", "P5"),
    Variant("UNDO_IN_FORWARD_ORDER", "P6"),
    Variant("SIBLING_IN_FLIGHT", "P6", "FORK=1"),
    Variant("ACT_BEFORE_DURABLE", "P7"),
    Variant("NOT_WITHDRAWN", "P7"),
    Variant("PIVOT_GIVEN_UP", "P8", "PIVOT=1"),
    Variant("STATUS_BELIEVED", "P8", "PIVOT=1 STATUSES=1"),
    Variant("APPEND_UNFENCED", "P9", "TAKEOVERS=1", quick=True),
    Variant("WRITE_AFTER_CONFLICT", "P9", "TAKEOVERS=1 GATHER=2"),
)


class Exploration(NamedTuple):
    """What Spin's verifier said."""

    states: int
    seconds: float
    complete: bool  # it saw everything there is, and found no error
    broken: str  # the promise that does not hold; empty where it found none
    story: str  # how it came to be broken


class Model:
    """The model under some bounds, made into a verifier in a folder that its owner removes."""

    def __init__(self, folder: str, bounds: str, *flags: str) -> None:
        """Compiles it. Bounds are like ``STEPS=2 CRASHES=1``; flags are for the C compiler."""
        self._folder = folder
        for source in HERE.glob("*.pml"):
            shutil.copy(source, folder)
        self._run("spin", *(f"-D{bound}" for bound in bounds.split()), "-a", "saga.pml")
        self._run("gcc", "-w", *FLAGS, *flags, "-o", "pan", "pan.c")

    def explore(self, *options: str) -> Exploration:
        """Visits every state, or as many as it takes to find an error."""
        begin = time.monotonic()
        text = self._run("./pan", f"-m{DEPTH}", "-n", *options)
        seconds = time.monotonic() - begin
        states = re.search(r"([\d.e+]+) states, stored", text)
        assert states, f"Spin or the compiler failed: {text}"
        complete = "errors: 0" in text and "not completed" not in text
        broken = story = ""
        if "assertion violated" in text or "acceptance cycle" in text:
            story = self._tell(*options)
            named = re.search(r"(P\d+) is broken", story)
            broken = named[1] if named else options[-1].upper()
        return Exploration(int(float(states[1])), seconds, complete, broken, story)

    def _tell(self, *options: str) -> str:
        """Has the error told that was just found, from the beginning."""
        told = self._run("./pan", "-S", *options).partition("\nspin: trail ends")[0]
        return "\n".join(line for line in told.splitlines() if not line.startswith(("pan:", "MSC:")))

    def _run(self, *command: str) -> str:
        done = subprocess.run(  # noqa: S603  Spin, the compiler and what it made, with options from this file
            command, cwd=self._folder, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr


def explore(bounds: str, claim: str = "") -> Exploration:
    """Explores the whole state space, for assertions or for one LTL property."""
    with tempfile.TemporaryDirectory(prefix="amends-model-") as folder:
        if not claim:
            return Model(folder, bounds, "-O1", "-DSAFETY", "-DNOCLAIM").explore()
        return Model(folder, bounds, "-O1", f"-DNFAIR={FAIR}").explore("-a", "-f", "-N", claim)


def break_it(variant: Variant) -> Exploration:
    """Looks for the shortest run of a broken variant that breaks an assertion, or for any that never ends."""
    bounds = f"{variant.bounds} BROKEN={variant.name}"
    with tempfile.TemporaryDirectory(prefix="amends-model-") as folder:
        if variant.promise == "P2":
            return Model(folder, bounds, f"-DNFAIR={FAIR}").explore("-a", "-f", "-N", "p2")
        # Breadth first, for which Spin wants no variable hidden from it.
        return Model(folder, f"{bounds} hidden=", "-DSAFETY", "-DNOCLAIM", "-DBFS").explore()


def ends_not_reached() -> list[str]:
    """Names the ends of ends.pml that the model does not come to."""
    names = re.findall(r"ltl reaches_(\w+)", (HERE / "ends.pml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="amends-model-") as folder:
        model = Model(folder, ENDS)
        return [name for name in names if not model.explore("-N", f"reaches_{name}").broken]


def check(*, quick: bool) -> bool:
    """Checks everything, prints a line for each, and tells whether all is as it must be."""
    states, errors, caught = 0, 0, 0
    for configuration in (one for one in CONFIGURATIONS if one.quick or not quick):
        for claim in configuration.claims.split() or [""]:
            found = explore(configuration.bounds, claim)
            name = f"{configuration.name}, {claim.upper()} in LTL" if claim else configuration.name
            print(f"{name:<36} {found.states:>11,} states {found.seconds:>6.1f} s", flush=True)
            states += found.states
            if not found.complete:
                errors += 1
                print(f"  {found.broken or 'not explored to its end'}\n{found.story}")
    for end in ends_not_reached():
        errors += 1
        print(f"nothing leads to: {end}")
    variants = [variant for variant in VARIANTS if variant.quick or not quick]
    for variant in variants:
        found = break_it(variant)
        right = found.broken == variant.promise
        caught += right
        verdict = (
            f"breaks {found.broken}"
            if right
            else f"must break {variant.promise}: {found.broken or 'broke nothing'}"
        )
        print(f"{variant.name:<36} {verdict}", flush=True)
    print(f"{states:,} states, {errors} errors; {caught} of {len(variants)} broken variants caught")
    return errors == 0 and caught == len(variants)


def main() -> int:
    """Runs the command line."""
    variants = {variant.name: variant for variant in VARIANTS}
    parser = argparse.ArgumentParser(description="Checks the model of the protocol with Spin.")
    parser.add_argument("--quick", action="store_true", help="the smaller configurations and a few variants")
    parser.add_argument("--trail", metavar="NAME", choices=variants, help="tell how this variant is caught")
    arguments = parser.parse_args()
    missing = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
    if missing:
        print(f"the model needs {' and '.join(missing)}: apt-get install spin gcc", file=sys.stderr)
        return 2
    if arguments.trail:
        print(break_it(variants[arguments.trail]).story)
        return 0
    return 0 if check(quick=arguments.quick) else 1


if __name__ == "__main__":
    sys.exit(main())
