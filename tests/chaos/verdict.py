"""Compares what everybody wrote down, saga by saga, and says in plain words which promise is broken."""

from collections.abc import Iterator, Mapping
from typing import Final

from amends_coordinator.core import facts as f
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.fold import BrokenLogError, apply, begin, rebuild
from amends_coordinator.core.saga import Saga, StepRun
from amends_coordinator.core.transitions import SagaState, StepState
from amends_coordinator.core.values import Cause
from tests.chaos import hearsay
from tests.chaos.evidence import Evidence, Record
from tests.promises.effects import Effect, broken_promises
from tests.promises.ledgers import NO_TRACE, Trace
from tests.promises.log import Audit
from tests.promises.traces import broken_by_trace

FENCES: Final[Mapping[StepState, frozenset[str | None]]] = {
    StepState.SUCCEEDED: frozenset({"TRIED"}),
    # The Try had landed; or had not; or had been rejected in a reply that was lost.
    StepState.COMPENSATED: frozenset({"COMPENSATED", "TOMBSTONE", "REJECTED"}),
    # An external step that was pending before it was rejected keeps its intent.
    StepState.REJECTED: frozenset({"REJECTED", "INTENDED"}),
    StepState.SKIPPED: frozenset({None}),
}
"""The states of a step when its saga has ended, and the states of its fence that go with each."""

STUCK: Final[Mapping[SagaState, frozenset[StepState]]] = {
    SagaState.RUNNING: frozenset({StepState.REJECTED, StepState.UNKNOWN}),  # after the pivot
    SagaState.COMPENSATING: frozenset({StepState.REFUSED}),
}
"""The states of a step that only an operator can change, by its saga's state; a parked one says so anyway."""


def violations(evidence: Evidence) -> Iterator[str]:
    """Tells everything that does not agree; nothing is the hope."""
    sagas: dict[str, Saga] = {}
    for saga_id, record in evidence.records.items():
        yield from (f"{what}, saga {saga_id}" for what in _check_log(record))
        try:
            sagas[saga_id] = rebuild(saga_id, record.events)
        except BrokenLogError:
            continue  # told above
    for saga_id, saga in sagas.items():
        found = _check_saga(saga, evidence.records[saga_id], evidence)
        yield from (f"{what}, saga {saga_id}" for what in found)
    yield from _check_strangers(evidence)
    yield from hearsay.violations(evidence.notes, evidence.records)


# The log by itself


def _check_log(record: Record) -> Iterator[str]:
    try:
        saga = rebuild(record.row.id, record.events)
    except BrokenLogError as error:
        yield f"P9: the log is not one history: {record.broken or error}"
        return
    row = record.row
    told = (row.state, row.end_time, row.needs_attention)
    if told != (saga.state, saga.end_time, saga.needs_attention):
        yield f"P9: the row says {row.state.name}, the log {saga.state.name}, or they differ in their end"
    if not saga.state.ended:
        yield f"P2: it has not ended, it is {saga.state.name}"
    try:
        Audit(saga.definition).read(event.fact for event in record.events)
    except AssertionError as error:
        yield str(error)
    yield from _check_deadline(saga, record)
    yield from _check_flags(record)


def _check_deadline(saga: Saga, record: Record) -> Iterator[str]:
    for event in record.events:
        match event.fact:
            case f.CompensationStarted(turn_back=why) if why.cause is Cause.DEADLINE_PASSED:
                if saga.deadline is None or event.time < saga.deadline:
                    yield f"P11: its deadline passed at {event.time}, and is {saga.deadline}"


def _check_flags(record: Record) -> Iterator[str]:
    """P12, after every append: whatever is stuck until an operator comes is flagged."""
    first, *rest = record.events
    assert isinstance(first.fact, f.SagaStarted), "checked when it was rebuilt"
    saga, _ = begin(record.row.id, first.fact, first.time)
    for place, event in enumerate(rest):
        apply(saga, event.fact, event.time)
        same_append = place + 1 < len(rest) and rest[place + 1].time == event.time
        stuck = [step.name for step, run in _runs(saga) if run.state in STUCK.get(saga.state, ())]
        if stuck and not saga.needs_attention and not same_append:
            yield f"P12: after event {event.sequence} {stuck} is stuck, and the saga is not flagged"


# A saga and its participants


def _check_saga(saga: Saga, record: Record, evidence: Evidence) -> Iterator[str]:
    excused = {event.fact.step for event in record.events if isinstance(event.fact, f.StepResolved)}
    traces = {
        step.name: evidence.traces[step.participant].get((saga.id, step.name), NO_TRACE)
        for step in saga.definition.steps
    }
    effects = {name: Effect(trace.count("applied"), trace.count("undone")) for name, trace in traces.items()}
    yield from broken_promises(saga, effects, excused)
    for step, run in _runs(saga):
        trace = traces[step.name]
        yield from (f"{what}, step {step.name!r}" for what in broken_by_trace(trace))
        free = step.name in excused or step.effect_free
        if saga.state.ended and not free and trace.fence not in FENCES.get(run.state, frozenset()):
            yield f"P3: the log says {run.state.name}, the fence {trace.fence}, step {step.name!r}"
    yield from _check_order(saga.definition, {name: traces[name] for name in traces.keys() - excused})


def _check_order(definition: Definition, traces: Mapping[str, Trace]) -> Iterator[str]:
    """P6 as the participants saw it."""
    for step in definition.steps:
        for needed in step.needs:
            if step.name not in traces or needed not in traces:
                continue
            mine, its = traces[step.name], traces[needed]
            if mine.at("applied") and not 0 < its.at("applied") < mine.at("applied"):
                yield f"P6: {step.name!r} was applied before {needed!r}, which it needs"
            if mine.at("undone") and its.at("undone") and not mine.at("undone") < its.at("undone"):
                yield f"P6: {needed!r} was undone before {step.name!r}, which needs it"


def _check_strangers(evidence: Evidence) -> Iterator[str]:
    for participant, traces in evidence.traces.items():
        for saga_id, step in sorted(traces):
            record = evidence.records.get(saga_id)
            if record is None:
                yield f"P7: {participant} was called for step {step!r}, and no log knows saga {saga_id}"


# Small words


def _runs(saga: Saga) -> Iterator[tuple[Step, StepRun]]:
    return zip(saga.definition.steps, saga.runs, strict=True)
