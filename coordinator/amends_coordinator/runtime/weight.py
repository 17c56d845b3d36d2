"""What facts weigh on their way to the disk: an estimate, cheaper than encoding them twice."""

from collections.abc import Sequence

from amends_coordinator.core import facts as f
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.values import Payload

FACT = 512
"""Bytes that any fact may take without its payloads; most take a tenth of it."""

NAME = 128
"""Bytes of the longest name: what a step that is needed adds to a definition."""


def weigh(facts: Sequence[f.Fact]) -> int:
    """Returns about how many bytes these facts take, rather too many than too few."""
    return sum(map(_weigh, facts))


def _weigh(fact: f.Fact) -> int:
    match fact:
        case f.SagaStarted():
            payloads = _payload(fact.input) + sum(map(_payload, fact.step_inputs.values()))
            labels = sum(len(key) + 4 * len(value) for key, value in fact.labels.items())
            return FACT + payloads + labels + _definition(fact.definition)
        case f.StepSucceeded() | f.StepResolved():
            return FACT + _payload(fact.result)
        case _:
            return FACT


def _payload(payload: Payload | None) -> int:
    return 0 if payload is None else len(payload.type_url) + len(payload.value)


def _definition(definition: Definition) -> int:
    return len(definition.descriptors) + sum(
        FACT + NAME * len(step.needs) + _methods(step) for step in definition.steps
    )


def _methods(step: Step) -> int:
    calls = sum(
        len(call.method) + len(call.request.encode())
        for call in (step.try_method, step.compensate_method)
        if call
    )
    rules = (*step.try_outcomes, *step.compensate_outcomes)
    return calls + sum(NAME + len(rule.condition.encode()) for rule in rules)
