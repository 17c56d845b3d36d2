"""What facts are taken to weigh on their way to the disk."""

import pytest

from amends_coordinator.contract.facts import encode_fact
from amends_coordinator.core import facts as f
from amends_coordinator.core.definition import Definition, MethodCall, OutcomeKind, OutcomeRule, Step
from amends_coordinator.core.limits import MAX_EXPRESSION, MAX_RULES
from amends_coordinator.core.values import Payload
from amends_coordinator.runtime.weight import weigh

NAME = "n" * 127
TYPE = "t" * 512


def started(expression: str, rules: int) -> f.SagaStarted:
    """The start of a saga with everything as long as it may be."""
    call = MethodCall(f"{'m' * 510}/{'m'}", expression)
    rule = OutcomeRule(code=0, outcome=OutcomeKind.REJECTED, condition=expression, reason="R" * 63)
    steps = tuple(
        Step(
            name=f"{NAME}{number}", participant=NAME, needs=tuple(f"{NAME}{each}" for each in range(number)),
            try_method=call, compensate_method=call,
            try_outcomes=(rule,) * rules, compensate_outcomes=(rule,) * rules,
        )
        for number in range(5)
    )  # fmt: skip
    definition = Definition(name=NAME, steps=steps, timeout=1.5, input_type=TYPE, descriptors=b"\n\0" * 9_999)
    payload = Payload(TYPE, b"x" * 9_999)
    labels = {f"{NAME}{number}": "é" * 256 for number in range(9)}
    return f.SagaStarted(
        definition=definition, input=payload, step_inputs={f"{NAME}1": payload}, labels=labels, deadline=1.5
    )


@pytest.mark.parametrize("letter", ["x", "é", "語", "🚚"])
@pytest.mark.parametrize("rules", [0, MAX_RULES])
def test_a_start_weighs_no_less_than_it_takes(letter: str, rules: int) -> None:
    """In whatever script its expressions are written; and not much more, or batches would be small."""
    longest = letter * (MAX_EXPRESSION // len(letter.encode()))
    fact = started(longest, rules)
    taken = len(encode_fact(fact, 0.0))
    assert taken <= weigh([fact]) <= 1.2 * taken
