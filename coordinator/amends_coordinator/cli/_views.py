"""What people see of sagas."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from rich.text import Text

from amends.v1 import coordinator_pb2, event_pb2, saga_pb2
from amends_coordinator.cli import _screen
from amends_coordinator.cli._why import advice, why_step
from amends_coordinator.cli._words import clean, moment, moment_in_words, span, turn_back_in_words
from amends_coordinator.cli.timeline import STEP_WIDTH, describe

_SAGA_STYLES: Final = {
    saga_pb2.Saga.RUNNING: "blue",
    saga_pb2.Saga.COMPLETED: "green",
    saga_pb2.Saga.COMPENSATING: "yellow",
    saga_pb2.Saga.COMPENSATED: "yellow",
    saga_pb2.Saga.PARKED: "bold red",
    saga_pb2.Saga.STALLED: "bold red",
}
_STEP_STYLES: Final = {
    saga_pb2.StepRun.WAITING: "dim",
    saga_pb2.StepRun.TRYING: "blue",
    saga_pb2.StepRun.SUCCEEDED: "green",
    saga_pb2.StepRun.REJECTED: "red",
    saga_pb2.StepRun.UNKNOWN: "yellow",
    saga_pb2.StepRun.COMPENSATING: "yellow",
    saga_pb2.StepRun.COMPENSATED: "yellow",
    saga_pb2.StepRun.SKIPPED: "dim",
    saga_pb2.StepRun.REFUSED: "bold red",
}


class TimelineView:
    """Prints events as they come, their times counted from the saga's start."""

    def __init__(self) -> None:
        self._started: datetime | None = None
        self._step_width = STEP_WIDTH

    def show(self, event: event_pb2.Event) -> None:
        """Prints one event; the first one shown should be the saga's first."""
        line = describe(event)
        self._started = self._started or line.time
        self._step_width = max(self._step_width, len(line.step))
        _screen.say(line.plain(started=self._started, step_width=self._step_width), line.style)


def show_saga(saga: saga_pb2.Saga, *, now: datetime, program: str) -> None:
    """Prints a saga: where it is and why, step by step, and what an operator can do."""
    facts = _screen.table("", "")
    facts.show_header = False
    for name, text, style in _facts(saga, now):
        facts.add_row(Text(name, style="dim"), Text(text, style=style))
    _screen.show(facts)
    _screen.say("")
    _show_steps(saga, now)
    suggestions = advice(saga, program=program)
    if suggestions:
        _screen.say("\nWhat you can do:")
    for suggestion in suggestions:
        _screen.say(f"  {suggestion.command}")
        _screen.say(f"      {suggestion.effect}", "dim")


def _facts(saga: saga_pb2.Saga, now: datetime) -> list[tuple[str, str, str]]:
    started, definition = moment(saga.create_time), saga.definition
    version = f" version {definition.version}" if definition.version else " (not registered)"
    heard = saga.choreography.heard_time if saga.HasField("choreography") else None
    if heard is not None:
        version = " (choreographed)"
    ended = moment(saga.end_time) if saga.HasField("end_time") else None
    took = f"after {span((ended - started).total_seconds())}" if ended else ""
    state_style = _SAGA_STYLES.get(saga.state, "")
    facts = [
        ("saga", clean(saga.id), "bold"),
        ("definition", clean(definition.name) + version, ""),
        ("state", saga_pb2.Saga.State.Name(saga.state), state_style),
        ("started", f"{moment_in_words(saga.create_time)}, {_ago(now - started)}", ""),
        ("last event", f"heard {_ago(now - moment(heard))}" if heard is not None else "", ""),
        ("ended", f"{moment_in_words(saga.end_time)}, {took}" if ended else "", ""),
        ("turned back", turn_back_in_words(saga.turn_back) if saga.HasField("turn_back") else "", "yellow"),
        ("deadline", _deadline(saga, now), ""),
        ("cancel", "requested; waits for the outcome of the pivot" if _cancel_waits(saga) else "", "yellow"),
        ("attention", clean(saga.needs_attention), "bold red"),
        ("labels", _labels(saga.labels), ""),
    ]
    return [fact for fact in facts if fact[1]]


def _cancel_waits(saga: saga_pb2.Saga) -> bool:
    return saga.cancel_requested and saga.state == saga_pb2.Saga.RUNNING


def _deadline(saga: saga_pb2.Saga, now: datetime) -> str:
    if not saga.HasField("deadline") or saga.state != saga_pb2.Saga.RUNNING:
        return ""
    left = (moment(saga.deadline) - now).total_seconds()
    return f"{moment_in_words(saga.deadline)}, " + (f"in {span(left)}" if left > 0 else "passed")


def _show_steps(saga: saga_pb2.Saga, now: datetime) -> None:
    steps = _screen.table("step", "state", "attempts", "compensations", "why")
    for run in saga.steps:
        state = saga_pb2.StepRun.State.Name(run.state)
        steps.add_row(
            Text(clean(run.step)),
            Text(state, style=_STEP_STYLES.get(run.state, "")),
            str(run.attempts or ""),
            str(run.compensation_attempts or ""),
            Text(why_step(run, now)),
        )
    _screen.show(steps)


def show_summaries(sagas: list[coordinator_pb2.SagaSummary], *, now: datetime) -> None:
    """Prints a list of sagas."""
    listed = _screen.table("saga", "definition", "state", "started", "took", "labels", "attention")
    for saga in sagas:
        ended = moment(saga.end_time) if saga.HasField("end_time") else now
        listed.add_row(
            Text(clean(saga.id)),
            Text(clean(saga.definition_name)),
            Text(saga_pb2.Saga.State.Name(saga.state), style=_SAGA_STYLES.get(saga.state, "")),
            moment_in_words(saga.create_time),
            span(max(0.0, (ended - moment(saga.create_time)).total_seconds())),
            Text(_labels(saga.labels)),
            Text(clean(saga.needs_attention), style="bold red"),
        )
    _screen.show(listed)


def _labels(labels: Mapping[str, str]) -> str:
    return clean(", ".join(f"{key}={labels[key]}" for key in sorted(labels)))


def _ago(passed: timedelta) -> str:
    return f"{span(max(0.0, passed.total_seconds()))} ago"
