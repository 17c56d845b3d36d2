"""The benchmarks run, notice lost work, and leave nothing behind. What they measure is nobody's assertion."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from amends import SagaState
from benchmarks.__main__ import table
from benchmarks._load import check_effects, told_once
from benchmarks._workspace import BenchmarkError, Program, Workspace

ROOT = Path(__file__).parents[2]


def test_the_last_line_is_one_json_object_with_the_figures_that_programs_ask_for():
    command = [
        "-m",
        "benchmarks.sagas",
        "--seconds",
        "0.6",
        "--concurrency",
        "8",
        "--rejected",
        "0.5",
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, *command], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    wanted = {"sagas_per_second", "p50_ms", "p99_ms", "raw_unary_calls_per_second", "ratio"}
    assert wanted <= figures.keys()
    assert abs(figures["completed"] - figures["compensated"]) <= 8


def test_p4_work_that_was_lost_or_done_twice_leaves_a_benchmark_without_figures():
    ended = Counter({SagaState.COMPLETED: 2, SagaState.COMPENSATED: 1})

    check_effects(ended, (6, 2))
    with pytest.raises(BenchmarkError):
        check_effects(ended, (5, 2))
    with pytest.raises(BenchmarkError):
        check_effects(ended, (6, 3))


async def test_what_many_callers_fail_with_is_told_once():
    async def fail() -> None:
        raise BenchmarkError("no saga ends")

    async def fail_twice() -> None:
        async with told_once(), asyncio.TaskGroup() as callers:
            callers.create_task(fail())
            callers.create_task(fail())

    with pytest.raises(BenchmarkError, match="2 callers failed, the first so: no saga ends"):
        await fail_twice()


async def test_a_benchmark_that_fails_leaves_no_process_and_no_file_behind():
    workspace = Workspace()

    async def fail() -> None:
        async with workspace:
            programs.append(await workspace.start("raw", "benchmarks._raw"))
            raise BenchmarkError("on purpose")

    programs: list[Program] = []
    with pytest.raises(BenchmarkError, match="on purpose"):
        await fail()

    assert not workspace.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(programs[0].pid, 0)


def test_the_table_says_of_each_goal_whether_it_was_reached():
    lines = table({"exchange": {"ratio": 0.5}, "latency": {"p50_in_raw_calls": 11.0}}).splitlines()

    assert [line.split()[-1] for line in lines[1:]] == ["reached", "MISSED"]
