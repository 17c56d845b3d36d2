"""Wrong types are found by type checkers, before anything runs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from amends_coordinator.cli._app import amends
from protos.generate import ROOT
from tests.stubs.compiling import PAYMENTS, SAMPLES

Checker = Callable[[Path], tuple[str, int]]

PYRIGHT = ROOT / "node_modules" / ".bin" / "pyright"

MISTAKEN = """
from shop.v1.payments_amends import PaymentsSteps
from shop.v1.payments_pb2 import ChargeRequest

from amends import Definition

ORDER = Definition[ChargeRequest]("order", [PaymentsSteps.check_account(), PaymentsSteps.charge()])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the sample is generated, and a user writes programs."""
    done = CliRunner().invoke(amends, ["stubs", PAYMENTS, "-I", str(SAMPLES), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    return tmp_path


def mypy(folder: Path) -> tuple[str, int]:
    """What mypy says of everything in a folder, strictly, and its exit status."""
    # One for each process that tests are spread over: two would write to one at the same time.
    cache = ROOT / ".mypy_cache" / f"stubs-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    options = ["--strict", "--explicit-package-bases", "--config-file=", f"--cache-dir={cache}"]
    command = [sys.executable, "-m", "mypy", *options, "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode


def pyright(folder: Path) -> tuple[str, int]:
    """What pyright says of all but the messages, strictly, and its exit status."""
    if not PYRIGHT.exists() or shutil.which("node") is None:
        pytest.skip("pyright is not installed; make check does that, from npm")
    settings = {
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "ignore": ["**/*_pb2.py*"],  # they are not ours, and not meant for this
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [PYRIGHT, "--pythonpath", sys.executable, "-p", folder]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_generated_code_and_what_stands_on_it_passes_strict_checks(checker: Checker, folder: Path) -> None:
    """The examples show what is accepted, and what is refused."""
    shutil.copy(Path(__file__).with_name("typing_examples.py"), folder)
    told, status = checker(folder)
    assert status == 0, told


@pytest.mark.parametrize(
    ("checker", "told"),
    [
        (
            mypy,
            'incompatible type "Step[CheckAccountRequest, CheckAccountResponse]"; expected "Step[ChargeReq',
        ),
        (
            pyright,
            '"Step[CheckAccountRequest, CheckAccountResponse]" is not assignable to "Step[ChargeRequest, ',
        ),
    ],
)
def test_a_step_that_takes_something_else_than_its_saga_is_found(
    checker: Checker, told: str, folder: Path
) -> None:
    """Where the definition is written, by name."""
    (folder / "order.py").write_text(MISTAKEN)
    output, status = checker(folder)
    assert status == 1
    assert "order.py:7:" in output
    assert told in output
