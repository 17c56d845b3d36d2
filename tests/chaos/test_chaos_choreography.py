"""A short slice of the chaos among services that coordinate by events, for every run of the tests:
`python -m tests.chaos --choreography` is the whole of it."""

import secrets

import pytest

from sample_services.demo.broker import nats_server
from sample_services.demo.processes import ProcessError
from tests.chaos.choreography import plan
from tests.chaos.choreography.mutants import MUTANTS
from tests.chaos.choreography.round import run
from tests.chaos.choreography.shapes import SERVICES
from tests.chaos.plan import CUSTOMERS, Harm
from tests.simulation.mutants import Mutant
from tests.simulation.mutating import source_of

SECONDS = 1.5
"""How long the faults of a short round go on."""

FRESH = secrets.randbelow(1_000_000)


@pytest.mark.parametrize("bus", plan.BUSES)
async def test_no_promise_is_broken_among_services_on_a_bus(bus: str) -> None:
    """P1 to P12: whatever is killed, stopped or cut off, services, bus, customers and tracker agree."""
    if bus == "nats":
        try:
            nats_server()
        except ProcessError as error:
            pytest.skip(str(error))
    outcome = await run(plan.draw(FRESH, bus, seconds=SECONDS))
    again = f"the same plan again: --choreography --bus {bus} --seed {FRESH} --rounds 1 --seconds {SECONDS:g}"
    assert not outcome.violations, "\n".join([*outcome.violations, again])
    assert outcome.sagas.total() > 0, "a round without sagas shows nothing"


def test_a_seed_and_a_bus_decide_a_plan() -> None:
    """The same seed is the same plan, another one another."""
    assert plan.draw(1, "nats") == plan.draw(1, "nats")
    assert plan.draw(1, "nats").faults != plan.draw(2, "nats").faults


@pytest.mark.parametrize("bus", plan.BUSES)
def test_every_harm_is_drawn_that_there_is_for_a_bus(bus: str) -> None:
    """A hundred plans hold every kind of harm, and kills of everybody."""
    plans = [plan.draw(seed, bus) for seed in range(100)]
    assert {each.replays_at is None for each in plans} == {True, False}
    faults = [fault for each in plans for fault in each.faults]
    killed = {fault.target for fault in faults if fault.harm is Harm.KILL}
    everybody = {*SERVICES, *CUSTOMERS, plan.TRACKER, "stock-2", "gate-relay"}
    if bus == "nats":
        assert {fault.harm for fault in faults} == set(Harm)
        assert everybody | {plan.BUS} <= killed
    else:
        assert {fault.harm for fault in faults} == {Harm.KILL, Harm.FREEZE, Harm.RESTART, Harm.FILL}
        assert everybody <= killed
        assert any(each.on_small_disk == plan.BUS for each in plans)


def test_every_service_has_somebody_who_publishes() -> None:
    """Itself, or a relay apart; never nobody."""
    for seed in range(100):
        drawn = plan.draw(seed, "sqlite")
        publishing = {drawn.workers[worker] for worker in drawn.publishing} | set(drawn.relays.values())
        assert publishing == set(SERVICES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_of_the_services_fits_the_code_as_it_is(mutant: Mutant) -> None:
    """Its piece of source is there, once; `python -m tests.chaos.choreography.trial` has it caught."""
    source = source_of(mutant).read_text("utf-8")
    assert mutant.mutated(source) != source
