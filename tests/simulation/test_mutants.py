"""The checks can fail: faults put into the code are noticed, and told as a story that can be replayed."""

import subprocess
import sys

import pytest

from tests.simulation.commands import catch
from tests.simulation.mutants import MUTANTS, Mutant, named
from tests.simulation.mutating import source_of

CAUGHT_EARLY = (
    "act before the log is durable",
    "bury no Compensate that comes first",
    "commit without a sync",
    "compensate in forward order",
    "give another key to every call of a method",
    "let a stale owner append",
    "take any status of a Compensate for a refusal",
)
"""Some mutants, of every room, that are noticed within a few worlds."""

FEW = 60


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code_as_it_is(mutant: Mutant) -> None:
    """Its piece of source is there, once; otherwise it would be caught by nothing, or by the wrong thing."""
    source = source_of(mutant).read_text("utf-8")
    assert mutant.mutated(source) != source


@pytest.mark.parametrize("name", CAUGHT_EARLY)
def test_a_mutant_is_caught_by_the_promise_it_breaks(name: str) -> None:
    """The rest of them are run by ``python -m tests.simulation --mutants``."""
    caught = catch(named(name), FEW)
    _, _, promise = caught.partition(": ")
    assert promise.partition(":")[0] in named(name).breaks


def test_a_broken_promise_is_told_shortly_and_can_be_replayed() -> None:
    """What is told ends with the promise, names one saga, and gives the command that shows it again."""
    program = """
from tests.simulation import mutants, mutating
mutating.install(mutants.named("compensate in forward order"))
from tests.simulation import commands
from tests.simulation.running import run
from tests.simulation.shrinking import shrink
whole = next(result for result in map(run, range(1, 60)) if result.broken)
short = shrink(whole)
assert len(short.story.lines) < len(whole.story.lines)
commands.tell(short)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert " broke a promise: P6: " in first
    assert "BROKEN P6" in done.stdout
    seed = first.split()[1]
    assert last.startswith(f"again: python -m tests.simulation --seed {seed}")
