"""A slice of the simulation: some worlds that are always the same, and some that nobody has seen before."""

import os
import random
import subprocess
import sys

import pytest

from tests.simulation.commands import COMMAND
from tests.simulation.plan import Fault, Scope, draw
from tests.simulation.running import run

KNOWN = range(1, 46)
FRESH = [random.randrange(1 << 32) for _ in range(20)]


@pytest.mark.parametrize("seeds", [KNOWN[:22], KNOWN[22:], FRESH], ids=["known 1", "known 2", "fresh"])
def test_no_world_breaks_a_promise(seeds: "range | list[int]") -> None:
    """P1 to P12 hold in each, after every step, and every saga ends."""
    for seed in seeds:
        result = run(seed)
        assert not result.broken, f"{result.broken}\nagain: {COMMAND} --seed {seed}"


def test_a_seed_is_the_same_run_to_the_last_event() -> None:
    """In another process too, whatever its hashes are seeded with."""
    here = [run(seed).story.digest for seed in (7, 18, 23)]
    program = "from tests.simulation.running import run; print([run(s).story.digest for s in (7, 18, 23)])"
    environment = {**os.environ, "PYTHONHASHSEED": "11"}
    command = [sys.executable, "-c", program]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert there.stdout.strip() == str(here)


def test_worlds_differ() -> None:
    """Every kind of fault is drawn, and left out, within a few dozen seeds; so are calls of plain methods."""
    drawn = [draw(seed, Scope()).faults for seed in KNOWN]
    for fault in Fault:
        assert 0 < sum(fault in faults for faults in drawn) < len(drawn)
    assert 0 < sum(draw(seed, Scope()).methods for seed in KNOWN) < len(KNOWN)


def test_methods_are_called_in_every_way() -> None:
    """By types that are sent or asked for, with an input that has a type or none, by requests that are made
    of results or not at all, and undone by the response, by the key, by the request, or not at all."""
    definitions = [saga.definition for seed in KNOWN for saga in draw(seed, Scope()).sagas if saga.given]
    steps = [step for definition in definitions for step in definition.steps if step.try_method]
    assert {definition.input_type for definition in definitions} == {"", "depot.v1.Order"}
    assert {bool(definition.descriptors) for definition in definitions} == {True, False}
    requests = [step.try_method.request for step in steps if step.try_method]
    assert "" in requests
    assert {len(request.split("results.")) for request in requests} == {1, 2, 3}
    undone = {step.compensate_method.request if step.compensate_method else None for step in steps}
    assert {None, ""} < undone
    for words in ("responded ?", "request.key"):
        assert {words in request for request in undone if request} == {True, False}


def test_a_smaller_world_leaves_out_what_it_is_told_to() -> None:
    """No fault, and one saga at the most."""
    result = run(5, Scope(frozenset(), sagas=1))
    assert (result.sagas, result.story.faults, result.broken) == (1, 0, "")
