"""A short slice of the chaos, for every run of the tests: `python -m tests.chaos` is the whole of it."""

import secrets

import pytest

from tests.chaos import plan
from tests.chaos.plan import Harm
from tests.chaos.round import run

SECONDS = 2.0
"""How long the faults of a short round go on."""

FRESH = secrets.randbelow(1_000_000)


@pytest.mark.parametrize("seed", [11, pytest.param(FRESH, id="fresh")])
async def test_no_promise_is_broken_in_a_round(seed: int) -> None:
    """P1 to P12: whatever is killed, frozen or cut off, log, fences, ledgers and customers agree at last."""
    outcome = await run(plan.draw(seed, seconds=SECONDS))
    again = f"the same plan again: python -m tests.chaos --seed {seed} --rounds 1 --seconds {SECONDS:g}"
    assert not outcome.violations, "\n".join([*outcome.violations, again])
    assert outcome.sagas.total() > 0, "a round without sagas shows nothing"


def test_a_seed_decides_a_plan() -> None:
    """The same seed is the same plan, another one another."""
    assert plan.draw(1) == plan.draw(1)
    assert plan.draw(1) != plan.draw(2)


def test_every_harm_is_drawn() -> None:
    """A hundred plans hold every kind of harm, to the coordinator, to participants and to customers."""
    faults = [fault for seed in range(100) for fault in plan.draw(seed).faults]
    assert {fault.harm for fault in faults} == set(Harm)
    killed = {fault.target for fault in faults if fault.harm is Harm.KILL}
    assert killed == {plan.COORDINATOR, *plan.NAMES, *plan.CUSTOMERS}
