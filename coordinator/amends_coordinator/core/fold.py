"""The fold: applying the facts of a log, in order, rebuilds its saga.

The machine changes a saga by the same function, so that what is live and what a restart would rebuild are
the same by construction.
"""

from collections.abc import Callable, Iterable
from typing import Any

from amends_coordinator.core import facts as f
from amends_coordinator.core.saga import Failure, Saga, StepRun
from amends_coordinator.core.transitions import (
    SETTLED,
    SagaMove,
    SagaState,
    StepMove,
    StepState,
    next_saga_state,
    next_step_state,
)
from amends_coordinator.core.values import Direction, Rejection, Resolution

Ready = list[int]
"""Places of steps that a fact made ready to be called."""


class BrokenLogError(Exception):
    """A log that this machine cannot have written: it has gaps, or contradicts itself."""


def begin(saga_id: str, fact: f.SagaStarted, time: float) -> tuple[Saga, Ready]:
    """Makes the saga that the first fact of a log tells of, and names the steps that need no other."""
    definition = fact.definition
    saga = Saga(
        id=saga_id,
        definition=definition,
        input=fact.input,
        step_inputs=fact.step_inputs,
        labels=fact.labels,
        create_time=time,
        deadline=fact.deadline,
        traceparent=fact.traceparent,
        definition_by_name=fact.definition_by_name,
        runs=[StepRun(waits_for=len(needs)) for needs in definition.needs],
        sequence=1,
    )
    ready = [place for place, run in enumerate(saga.runs) if run.waits_for == 0]
    for place in ready:
        _move(saga, place, StepMove.READY)
    return saga, ready


def rebuild(saga_id: str, events: Iterable[f.Event]) -> Saga:
    """Rebuilds a saga from its whole log.

    Raises:
        BrokenLogError: the log has a gap, does not begin with SagaStarted, or contradicts itself.
    """
    saga: Saga | None = None
    for expected, event in enumerate(events, start=1):
        if event.sequence != expected:
            raise BrokenLogError(
                f"saga {saga_id}: event {expected} is missing, the next one is {event.sequence}"
            )
        try:
            if saga is not None:
                apply(saga, event.fact, event.time)
            elif isinstance(event.fact, f.SagaStarted):
                saga, _ = begin(saga_id, event.fact, event.time)
            else:
                raise BrokenLogError(f"saga {saga_id}: the log begins with {type(event.fact).__name__}")
        except (AssertionError, KeyError) as error:
            raise BrokenLogError(
                f"saga {saga_id}: event {expected} contradicts the ones before it: {error}"
            ) from error
    if saga is None:
        raise BrokenLogError(f"saga {saga_id}: the log is empty")
    return saga


def apply(saga: Saga, fact: f.Fact, time: float) -> Ready:
    """Applies one fact and names the steps that it made ready to be called."""
    saga.sequence += 1
    return _APPLY[type(fact)](saga, fact, time)


def _move(saga: Saga, place: int, move: StepMove) -> None:
    """Changes the state of a step, by the table, and keeps the saga's counts true."""
    run = saga.runs[place]
    before, after = run.state, next_step_state(run.state, move)
    run.state = after
    # Differences of truth values: each count changes by -1, 0 or 1.
    saga.trying += (after is StepState.TRYING) - (before is StepState.TRYING)
    saga.compensating += (after is StepState.COMPENSATING) - (before is StepState.COMPENSATING)
    saga.succeeded += (after is StepState.SUCCEEDED) - (before is StepState.SUCCEEDED)
    run.next_attempt_time = None
    run.pending = False


def _calm(saga: Saga, step: str) -> None:
    """Takes an operator's attention back once the step that wanted it is through."""
    if saga.attention_step == step:
        saga.needs_attention = saga.attention_step = ""


def _open_dependents(saga: Saga, place: int) -> Ready:
    """Makes those steps ready that waited for this one last."""
    ready = []
    for other in saga.definition.dependents[place]:
        run = saga.runs[other]
        run.waits_for -= 1
        if run.waits_for == 0 and run.state is StepState.WAITING:
            _move(saga, other, StepMove.READY)
            ready.append(other)
    return ready


def _undo(saga: Saga, places: Iterable[int]) -> Ready:
    """Begins to compensate those of these steps whose turn it is (P6): nothing is being tried any more, and
    every step that needs them is settled."""
    if saga.state is not SagaState.COMPENSATING or saga.trying:
        return []
    ready = []
    for place in places:
        dependents = saga.definition.dependents[place]
        if saga.runs[place].state in (StepState.SUCCEEDED, StepState.UNKNOWN) and all(
            saga.runs[other].state in SETTLED for other in dependents
        ):
            _move(saga, place, StepMove.UNDO)
            ready.append(place)
    return ready


def _undo_after(saga: Saga, place: int) -> Ready:
    """Begins to compensate what waited for this step to be settled, or for the last call in flight."""
    if saga.compensating == 0:
        # Perhaps the last call in flight has just been answered: any step may be next.
        return _undo(saga, reversed(range(len(saga.runs))))
    return _undo(saga, saga.definition.needs[place])


def _step_succeeded(saga: Saga, fact: f.StepSucceeded, _time: float) -> Ready:
    place = saga.definition.position[fact.step]
    run = saga.runs[place]
    run.result = fact.result
    run.attempts = fact.attempt
    _move(saga, place, StepMove.SUCCEED)
    if saga.attention_step:
        _calm(saga, fact.step)
    if saga.state is SagaState.RUNNING:
        return _open_dependents(saga, place)
    return _undo_after(saga, place)


def _step_rejected(saga: Saga, fact: f.StepRejected, _time: float) -> Ready:
    place = saga.definition.position[fact.step]
    run = saga.runs[place]
    run.rejection = fact.rejection
    run.attempts = fact.attempt
    _move(saga, place, StepMove.DOUBT if run.in_doubt else StepMove.REJECT)
    return _undo_after(saga, place)


def _attempt_failed(saga: Saga, fact: f.AttemptFailed, time: float) -> Ready:
    run = saga.runs[saga.definition.position[fact.step]]
    if fact.direction is Direction.FORWARD:
        run.attempts = fact.attempt
        run.in_doubt = True
    else:
        run.compensation_attempts = fact.attempt
    run.next_attempt_time = fact.next_attempt_time
    run.pending = False
    run.last_failure = Failure(fact.attempt, fact.direction, fact.code, fact.message, time)
    return []


def _attempt_pending(saga: Saga, fact: f.AttemptPending, _time: float) -> Ready:
    run = saga.runs[saga.definition.position[fact.step]]
    run.next_attempt_time = fact.next_attempt_time
    run.pending = True
    return []


def _step_given_up(saga: Saga, fact: f.StepGivenUp, _time: float) -> Ready:
    place = saga.definition.position[fact.step]
    _move(saga, place, StepMove.DOUBT)
    return _undo_after(saga, place)


def _cancel_requested(saga: Saga, _fact: f.CancelRequested, _time: float) -> Ready:
    saga.cancel_requested = True
    return []


def _compensation_started(saga: Saga, fact: f.CompensationStarted, _time: float) -> Ready:
    saga.state = next_saga_state(saga.state, SagaMove.TURN_BACK)
    saga.turn_back = fact.turn_back
    for place, run in enumerate(saga.runs):
        if run.state is StepState.WAITING:
            _move(saga, place, StepMove.SKIP)
    return _undo(saga, reversed(range(len(saga.runs))))


def _step_compensated(saga: Saga, fact: f.StepCompensated, _time: float) -> Ready:
    place = saga.definition.position[fact.step]
    saga.runs[place].compensation_attempts = fact.attempt
    _move(saga, place, StepMove.UNDONE)
    _calm(saga, fact.step)
    return _undo(saga, saga.definition.needs[place])


def _compensation_refused(saga: Saga, fact: f.CompensationRefused, _time: float) -> Ready:
    place = saga.definition.position[fact.step]
    run = saga.runs[place]
    run.refusal = fact.refusal
    run.compensation_attempts = fact.attempt
    _move(saga, place, StepMove.REFUSE)
    return []


def _attention_needed(saga: Saga, fact: f.AttentionNeeded, _time: float) -> Ready:
    saga.needs_attention, saga.attention_step = fact.message, fact.step
    return []


def _saga_parked(saga: Saga, fact: f.SagaParked, _time: float) -> Ready:
    saga.state = next_saga_state(saga.state, SagaMove.PARK)
    saga.needs_attention, saga.attention_step = fact.message, ""
    return []


def _resume(saga: Saga) -> None:
    if saga.state is SagaState.PARKED:
        move = SagaMove.RESUME_BACKWARD if saga.turn_back else SagaMove.RESUME_FORWARD
        saga.state = next_saga_state(saga.state, move)
    saga.needs_attention = saga.attention_step = ""


def _saga_retried(saga: Saga, _fact: f.SagaRetried, time: float) -> Ready:
    _resume(saga)
    ready = []
    backward = saga.turn_back is not None
    for place, run in enumerate(saga.runs):
        stuck = (
            run.state is StepState.REFUSED
            if backward
            else run.state in (StepState.REJECTED, StepState.UNKNOWN)
        )
        if stuck:
            _move(saga, place, StepMove.RETRY)
            run.rejection = run.refusal = None
            ready.append(place)
        elif run.direction is not None and run.next_attempt_time is not None:
            run.next_attempt_time = min(run.next_attempt_time, time)
            ready.append(place)
    return ready


_RESOLVE = {
    Resolution.SUCCEEDED: StepMove.RESOLVE_SUCCEEDED,
    Resolution.NO_EFFECT: StepMove.RESOLVE_NO_EFFECT,
    Resolution.COMPENSATED: StepMove.RESOLVE_COMPENSATED,
}


def _step_resolved(saga: Saga, fact: f.StepResolved, _time: float) -> Ready:
    _resume(saga)
    place = saga.definition.position[fact.step]
    run = saga.runs[place]
    _move(saga, place, _RESOLVE[fact.resolution])
    run.in_doubt = False
    run.rejection = run.refusal = None
    if fact.resolution is Resolution.NO_EFFECT:
        run.rejection = Rejection("RESOLVED_NO_EFFECT", fact.reason)
    if fact.resolution is Resolution.SUCCEEDED:
        run.result = fact.result
        return _open_dependents(saga, place)
    return _undo_after(saga, place)


def _saga_completed(saga: Saga, _fact: f.SagaCompleted, time: float) -> Ready:
    return _end(saga, SagaMove.COMPLETE, time)


def _saga_compensated(saga: Saga, _fact: f.SagaCompensated, time: float) -> Ready:
    return _end(saga, SagaMove.FINISH, time)


def _end(saga: Saga, move: SagaMove, time: float) -> Ready:
    saga.state = next_saga_state(saga.state, move)
    saga.end_time = time
    saga.needs_attention = saga.attention_step = ""
    return []


_APPLY: dict[type[Any], Callable[[Saga, Any, float], Ready]] = {
    f.StepSucceeded: _step_succeeded,
    f.StepRejected: _step_rejected,
    f.AttemptFailed: _attempt_failed,
    f.AttemptPending: _attempt_pending,
    f.StepGivenUp: _step_given_up,
    f.CancelRequested: _cancel_requested,
    f.CompensationStarted: _compensation_started,
    f.StepCompensated: _step_compensated,
    f.CompensationRefused: _compensation_refused,
    f.AttentionNeeded: _attention_needed,
    f.SagaParked: _saga_parked,
    f.SagaRetried: _saga_retried,
    f.StepResolved: _step_resolved,
    f.SagaCompleted: _saga_completed,
    f.SagaCompensated: _saga_compensated,
}
