"""Why a saga and its steps are where they are, and what an operator can do about it. Pure words.

What is suggested here follows what the coordinator accepts, as its contract says at CancelSaga,
RetrySaga and ResolveStep: a command that would be refused is not suggested.
"""

import shlex
from dataclasses import dataclass
from datetime import datetime

from amends.v1 import saga_pb2
from amends_coordinator.cli._words import clean, code_name, moment, named_reason, span

_Step = saga_pb2.StepRun
_ENDED = (saga_pb2.Saga.COMPLETED, saga_pb2.Saga.COMPENSATED)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One thing an operator can do."""

    command: str
    """What to type."""
    effect: str
    """What it brings about."""


def why_step(run: saga_pb2.StepRun, now: datetime) -> str:
    """Says why a step is where it is: its rejection or refusal, its last failure, its next attempt."""
    said = []
    if run.HasField("rejection"):
        said.append(named_reason(run.rejection.reason, run.rejection.message))
    if run.HasField("refusal"):
        said.append(named_reason(run.refusal.reason, run.refusal.message))
    if run.HasField("last_failure") and run.state in (_Step.TRYING, _Step.COMPENSATING, _Step.UNKNOWN):
        said.append(_failure(run.last_failure, now))
    if run.in_flight:
        said.append("a call is under way")
    elif run.HasField("next_attempt_time"):
        wait = (moment(run.next_attempt_time) - now).total_seconds()
        said.append(f"next attempt in {span(wait)}" if wait > 0 else "next attempt is due")
    elif run.state == _Step.UNKNOWN:
        said.append("it may have happened")
    undone = run.HasField("compensation_cause")
    if undone or run.HasField("cause"):
        said.append(_after(run.compensation_cause if undone else run.cause))
    return "; ".join(said)


def _after(cause: saga_pb2.EventReference) -> str:
    return f"after {clean(cause.type)}" + (f" of {clean(cause.step)}" if cause.step else "")


def _failure(failure: saga_pb2.AttemptFailure, now: datetime) -> str:
    ago = span(max(0.0, (now - moment(failure.time)).total_seconds()))
    call = "compensation attempt" if failure.direction == saga_pb2.BACKWARD else "attempt"
    reason = named_reason(code_name(failure.code), failure.message)
    return f"{call} {failure.attempt} failed {ago} ago: {reason}"


def advice(saga: saga_pb2.Saga, *, program: str = "amends") -> list[Advice]:
    """Lists what an operator can do about a saga that has not ended; empty once it has.

    `program` begins each command; it may carry options such as the target.
    """
    if saga.state in _ENDED:
        return []
    found = []
    saga_id = shlex.quote(clean(saga.id))
    if saga.HasField("choreography"):
        return _advice_to_services(saga, saga_id)
    if any(_waits(run) for run in saga.steps) or saga.state == saga_pb2.Saga.PARKED:
        found.append(
            Advice(command=f"{program} retry {saga_id}", effect="calls now what waits or was refused")
        )
    if _may_cancel(saga):
        found.append(Advice(command=f"{program} cancel {saga_id}", effect="asks the saga to turn back"))
    retriable = {step.name for step in saga.definition.steps if step.kind == saga_pb2.Step.RETRIABLE}
    for run in saga.steps:
        for truth, effect in _resolutions(saga, run, after_pivot=run.step in retriable):
            step = shlex.quote(clean(run.step))
            command = f'{program} resolve {saga_id} {step} --as {truth} --reason "..."'
            found.append(Advice(command=command, effect=effect))
    return found


def _advice_to_services(saga: saga_pb2.Saga, saga_id: str) -> list[Advice]:
    """What can be done about a saga that nobody drives: only what its services could not deal with."""
    if saga.state != saga_pb2.Saga.STALLED:
        return []
    command = f"amends dead-letters list --saga {saga_id}"
    return [
        Advice(command=command, effect="shows what its services could not deal with; replay sends it again")
    ]


def _waits(run: saga_pb2.StepRun) -> bool:
    return not run.in_flight and run.HasField("next_attempt_time")


def _may_cancel(saga: saga_pb2.Saga) -> bool:
    pivots = {step.name for step in saga.definition.steps if step.kind == saga_pb2.Step.PIVOT}
    pivot_succeeded = any(run.step in pivots and run.state == _Step.SUCCEEDED for run in saga.steps)
    return saga.state == saga_pb2.Saga.RUNNING and not pivot_succeeded and not saga.cancel_requested


def _resolutions(saga: saga_pb2.Saga, run: saga_pb2.StepRun, *, after_pivot: bool) -> list[tuple[str, str]]:
    """What may be stated of a step in trouble; a step that is doing well is left alone."""
    name = clean(run.step)
    succeeded = ("succeeded", f"states that {name} took effect, and goes on")
    no_effect = ("no-effect", f"states that {name} never had an effect, and never will")
    compensated = ("compensated", f"states that the effect of {name} is undone")
    troubled = run.HasField("last_failure") or saga.state == saga_pb2.Saga.PARKED
    if run.in_flight or not troubled:
        return []
    if saga.HasField("turn_back"):
        backward = {
            _Step.TRYING: [no_effect],
            _Step.UNKNOWN: [no_effect, compensated],
            _Step.COMPENSATING: [compensated],
            _Step.REFUSED: [compensated],
        }
        return backward.get(run.state, [])
    turns_back = ("no-effect", f"states that {name} never had an effect, and turns the saga back")
    forward = {
        _Step.TRYING: [succeeded] if after_pivot else [succeeded, turns_back],
        _Step.REJECTED: [succeeded],
        _Step.UNKNOWN: [succeeded],
    }
    return forward.get(run.state, [])
