"""Sagas as long as the limits allow."""

from amends_coordinator.core import facts as f
from amends_coordinator.core import limits, machine, outcomes, stimuli
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Direction, Rejection


def sequence_before_its_last_step(*, effect_free: bool) -> Saga:
    """A saga of a thousand steps in a row, all of which but the last have succeeded."""
    names = [f"s{number}" for number in range(limits.MAX_STEPS)]
    steps = tuple(
        Step(
            name=name,
            participant="p",
            action="a",
            needs=tuple(names[place - 1 : place]),
            effect_free=effect_free,
        )
        for place, name in enumerate(names)
    )
    fact = f.SagaStarted(definition=Definition(name="long", steps=steps), step_inputs={}, labels={})
    saga, _ = machine.start("saga", fact, 0.0)
    for place in range(limits.MAX_STEPS - 1):
        reply = stimuli.Replied(place, Direction.FORWARD, 1, outcomes.Succeeded())
        decision = machine.advance(saga, reply, 0.0, 0.0)
        assert [call.place for call in decision.calls] == [place + 1]
    return saga


def test_a_thousand_effect_free_steps_are_undone_in_one_decision() -> None:
    """Steps without effect follow from one another; their number is no depth of recursion."""
    saga = sequence_before_its_last_step(effect_free=True)
    reply = stimuli.Replied(limits.MAX_STEPS - 1, Direction.FORWARD, 1, outcomes.Rejected(Rejection("NO")))
    decision = machine.advance(saga, reply, 0.0, 0.0)
    assert saga.state is SagaState.COMPENSATED
    assert len(decision.facts) == limits.MAX_STEPS + 2


def test_a_thousand_steps_are_undone_one_by_one_in_reverse() -> None:
    """The longest sequence turns back at its last step and is compensated to its first."""
    saga = sequence_before_its_last_step(effect_free=False)
    last = limits.MAX_STEPS - 1
    machine.advance(
        saga, stimuli.Replied(last, Direction.FORWARD, 1, outcomes.Rejected(Rejection("NO"))), 0.0, 0.0
    )
    for place in reversed(range(last)):
        machine.advance(saga, stimuli.Replied(place, Direction.BACKWARD, 1, outcomes.Compensated()), 0.0, 0.0)
    assert saga.state is SagaState.COMPENSATED
