"""The machine, against anything that can happen, and the fold, against anything that a log can hold."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends_coordinator.core import facts as f
from amends_coordinator.core.definition import Retry
from amends_coordinator.core.fold import BrokenLogError, rebuild
from tests.core.core_worlds import World, random_definition
from tests.fuzz.core_stories import CoreStories
from tests.fuzz.effort import effort

TestCoreStories = CoreStories.TestCase
TestCoreStories.settings = effort(120, steps=40)

Log = list[f.Event]
SEEDS = st.integers(0, 2**64)
PLACES = st.integers(0, 2**16)


def log_of(random: Random) -> Log:
    """What became of a saga in a random world."""
    world = World(random, random_definition(random))
    world.live(random.randint(2, 40))
    return world.events


@effort(60)
@given(SEEDS)
def test_every_beginning_of_a_log_is_a_saga(seed: int) -> None:
    """Wherever a log ends, it can be rebuilt: a later event never mends an earlier one."""
    log = log_of(Random(seed))
    for length in range(1, len(log) + 1):
        assert rebuild("saga", log[:length]).sequence == length


def _without(log: Log, other: Log, place: int) -> Log:
    return log[:place] + log[place + 1 :]


def _doubled(log: Log, other: Log, place: int) -> Log:
    return log[: place + 1] + log[place:]


def _swapped(log: Log, other: Log, place: int) -> Log:
    return [*log[:place], log[place + 1], log[place], *log[place + 2 :]]


def _with_another_s(log: Log, other: Log, place: int) -> Log:
    return [*log[:place], other[place % len(other)], *log[place + 1 :]]


DAMAGES = pytest.mark.parametrize("damage", [_without, _doubled, _swapped, _with_another_s])
Damage = Callable[[Log, Log, int], Log]


@DAMAGES
@effort(60)
@given(SEEDS, SEEDS, PLACES)
def test_a_damaged_log_is_refused_or_is_a_saga(damage: Damage, seed: int, another: int, place: int) -> None:
    """Nothing but BrokenLogError comes of events that do not belong there, even where their numbers fit."""
    log, other = log_of(Random(seed)), log_of(Random(another))
    damaged = damage(log, other, place % max(len(log) - 1, 1)) if len(log) > 1 else log
    renumbered = [f.Event(number, event.time, event.fact) for number, event in enumerate(damaged, start=1)]
    for events in (damaged, renumbered):
        with suppress(BrokenLogError):
            assert rebuild("saga", events).sequence == len(events)


@pytest.mark.parametrize("damage", [_without, _doubled, _swapped])
@effort(30)
@given(SEEDS, PLACES)
def test_a_log_whose_numbers_do_not_follow_is_refused(damage: Damage, seed: int, place: int) -> None:
    """An event that is missing, doubled or in the place of another is told by its number."""
    log = log_of(Random(seed))
    if len(log) > 1:
        with pytest.raises(BrokenLogError, match=r"event \d+ is missing"):
            rebuild("saga", damage(log, [], place % (len(log) - 1)))


@effort(200)
@given(st.floats(), st.floats(0.001, 3_600.0), st.integers(1, 2**31), st.floats(0, 1, exclude_max=True))
def test_no_policy_asks_for_a_wait_beyond_its_cap(
    multiplier: float, initial: float, failures: int, chance: float
) -> None:
    """Not even one that no door would let in, and a damaged log may hold."""
    policy = Retry(backoff_multiplier=multiplier, initial_backoff=initial)
    assert 0.0 <= policy.delay(failures, chance, 60.0) <= 60.0
