"""What an operator is told, in words that say what to do."""

from collections.abc import Callable

from amends_coordinator.core import facts as f
from amends_coordinator.core import limits
from amends_coordinator.core.saga import Saga, StepRun
from amends_coordinator.core.transitions import SagaState, StepState
from amends_coordinator.core.values import Direction, Refusal, Rejection


def times(attempts: int) -> str:
    """Says how often something was attempted."""
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def rejected_after_pivot(step: str, rejection: Rejection) -> f.AttentionNeeded:
    """A step that was to succeed was rejected, while others go on."""
    return f.AttentionNeeded(
        step,
        f"step {step!r} was rejected after the pivot ({rejection.reason}: {rejection.message}); "
        "the saga will be parked once its other steps have ended",
    )


def compensation_refused(step: str, refusal: Refusal) -> f.AttentionNeeded:
    """A participant will not undo a step, while other compensations go on."""
    return f.AttentionNeeded(
        step,
        f"Compensate of step {step!r} was refused ({refusal.reason}: {refusal.message}); "
        "the saga will be parked once the other compensations have ended",
    )


def keeps_failing(step: str, direction: Direction, attempts: int, message: str) -> f.AttentionNeeded:
    """A step fails again and again, and is called again all the same."""
    what = "Try" if direction is Direction.FORWARD else "Compensate"
    return f.AttentionNeeded(
        step,
        f"{what} of step {step!r} failed in {times(attempts)} and is being repeated, "
        f"the last time with: {message}",
    )


def why_stuck(saga: Saga, place: int) -> f.AttentionNeeded | None:
    """What an operator should know of a step of a saga that goes on; None if all is well with it."""
    run, step = saga.runs[place], saga.step(place)
    if run.refusal is not None:
        return compensation_refused(step.name, run.refusal)
    if run.rejection is not None and saga.state is SagaState.RUNNING:
        return rejected_after_pivot(step.name, run.rejection)
    backward = run.state is StepState.COMPENSATING
    failed = run.compensation_attempts if backward else run.attempts
    enough = limits.COMPENSATION_ATTENTION if backward else step.retry.max_attempts
    if run.direction is None or run.last_failure is None or failed < enough:
        return None
    return keeps_failing(step.name, run.direction, failed, run.last_failure.message)


def why_parked_forward(saga: Saga) -> str:
    """What keeps a saga from completing."""
    names = _names(saga, lambda run: run.state in (StepState.REJECTED, StepState.UNKNOWN))
    return (
        f"rejected after the pivot, where there is no way back: {names}. Resolve the step, or retry the saga"
    )


def why_parked_backward(saga: Saga) -> str:
    """What keeps a saga from being compensated."""
    names = _names(saga, lambda run: run.state is StepState.REFUSED)
    return f"compensation refused: {names}. Retry the saga, or resolve the step"


def _names(saga: Saga, chosen: Callable[[StepRun], bool]) -> str:
    found = []
    for place, run in enumerate(saga.runs):
        if chosen(run):
            why = run.refusal or run.rejection
            found.append(saga.step(place).name + (f" ({why.reason}: {why.message})" if why else ""))
    return ", ".join(found)
