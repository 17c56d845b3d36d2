"""The model of the protocol keeps the promises, and its broken variants do not; a slice of `make model`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "docs" / "model" / "check.py"

needs_spin = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("gcc")), reason="Spin or gcc is not installed"
)


def run(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({} if path is None else {"PATH": path})
    return subprocess.run(
        [sys.executable, CHECK, *arguments], capture_output=True, text=True, env=environment, check=False
    )


@needs_spin
def test_the_promises_hold_in_every_state_and_broken_variants_are_caught() -> None:
    """The smaller configurations have no error, and each variant breaks the promise that it must."""
    done = run("--quick")
    verdict = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"[\d,]+ states, 0 errors; (\d+) of \1 broken variants caught", verdict), done
    assert "NO_TOMBSTONE                         breaks P5" in done.stdout
    assert done.returncode == 0


@needs_spin
def test_a_counterexample_is_told_as_a_story() -> None:
    """The run in which a variant breaks its promise reads from the start of the saga to the promise."""
    done = run("--trail", "NO_TOMBSTONE")
    first, *_, last = done.stdout.splitlines()
    assert first == "coordinator 0 is asked to start the saga"
    assert last == "P5 is broken"


def test_an_unknown_variant_is_answered_with_those_there_are(tmp_path: Path) -> None:
    """Who misspells a variant is told the names, whether or not Spin is there."""
    done = run("--trail", "NO_TOMBSTON", path=str(tmp_path))
    assert done.returncode == 2
    assert "NO_TOMBSTONE" in done.stderr


def test_without_spin_it_says_what_to_install(tmp_path: Path) -> None:
    """Without Spin and a compiler there is one line that helps, and no traceback."""
    done = run(path=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "the model needs spin and gcc: apt-get install spin gcc\n"
