"""The events of a saga, in words: one line each, for `amends watch` and for demonstrations.

`describe` turns an event into a `Line`, which knows what happened but not how it looks;
`Line.plain` is the look without colours, and `style` names the colour for those who have some.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.cli._words import (
    clean,
    code_name,
    moment,
    named_reason,
    span,
    turn_back_in_words,
)

STEP_WIDTH: Final = 12
"""Columns that a step has at least."""

_WHAT_WIDTH: Final = 20


class Tone(Enum):
    """How good the news is. The values are styles of rich."""

    NEUTRAL = ""
    QUIET = "dim"
    GOOD = "green"
    WARNING = "yellow"
    BAD = "red"
    ENDED_WELL = "bold green"
    ENDED_BACK = "bold yellow"
    STUCK = "bold red"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One event in words."""

    time: datetime
    """When the coordinator learned or decided it."""
    sequence: int
    """The event's number within its saga, from 1."""
    what: str
    """What happened, in a few words."""
    step: str = ""
    """The step it happened to; empty for the saga as a whole."""
    attempt: int = 0
    """The attempt that came to this; 0 where it was none."""
    reason: str = ""
    """Why, and what follows; may be empty."""
    tone: Tone = Tone.NEUTRAL
    """How good the news is."""

    @property
    def style(self) -> str:
        """The style of rich in which to show the line."""
        return self.tone.value

    def plain(self, *, started: datetime, step_width: int = STEP_WIDTH) -> str:
        """Returns the line as text in columns, its time counted from the start of the saga."""
        attempt = f"attempt {self.attempt}" if self.attempt else ""
        passed = span((self.time - started).total_seconds())
        columns = (
            f"{passed:>10}",
            f"{self.step or '-':<{step_width}}",
            f"{self.what:<{_WHAT_WIDTH}}",
            f"{attempt:<10}",
            self.reason,
        )
        return "  ".join(columns).rstrip()


def describe(event: event_pb2.Event) -> Line:
    """Says an event in words. An event of a newer coordinator is shown as one that is not known."""
    kind = event.WhichOneof("fact")
    said: Mapping[str, Any] = {"what": "unknown event", "reason": "written by a newer coordinator"}
    if kind is not None:
        fact = getattr(event, kind)
        said = _KINDS[kind](fact, moment(event.time))
        if step := getattr(fact, "step", ""):
            said = {**said, "step": clean(step)}
        if attempt := getattr(fact, "attempt", 0):
            said = {**said, "attempt": attempt}
    return Line(time=moment(event.time), sequence=event.sequence, **said)


def _started(fact: event_pb2.SagaStarted, time: datetime) -> Mapping[str, Any]:
    definition = fact.definition
    steps = ", ".join(step.name for step in definition.steps[:8])
    more = ", ..." if len(definition.steps) > 8 else ""
    version = f" version {definition.version}" if definition.version else ""
    reason = f"{definition.name}{version}" + (f": {steps}{more}" if steps else "")
    if fact.HasField("deadline"):
        reason += f"; turns back in {_until(fact.deadline, time)} unless it ends or its pivot succeeds"
    return {"what": "saga started", "reason": clean(reason)}


def _succeeded(fact: event_pb2.StepSucceeded, time: datetime) -> Mapping[str, Any]:
    return {"what": "succeeded", "tone": Tone.GOOD}


def _rejected(fact: event_pb2.StepRejected, time: datetime) -> Mapping[str, Any]:
    reason = named_reason(fact.rejection.reason, fact.rejection.message)
    return {"what": "rejected", "reason": reason, "tone": Tone.BAD}


def _failed(fact: event_pb2.AttemptFailed, time: datetime) -> Mapping[str, Any]:
    what = "compensation failed" if fact.direction == saga_pb2.BACKWARD else "failed"
    reason = named_reason(code_name(fact.code), fact.message)
    if fact.HasField("next_attempt_time"):
        reason += f"; next attempt in {_until(fact.next_attempt_time, time)}"
    return {"what": what, "reason": reason, "tone": Tone.WARNING}


def _pending(fact: event_pb2.AttemptPending, time: datetime) -> Mapping[str, Any]:
    what = "compensation pending" if fact.direction == saga_pb2.BACKWARD else "pending"
    reason = f"not decided yet; asked again in {_until(fact.next_attempt_time, time)}"
    return {"what": what, "reason": reason, "tone": Tone.QUIET}


def _given_up(fact: event_pb2.StepGivenUp, time: datetime) -> Mapping[str, Any]:
    return {"what": "given up", "reason": "it may have happened", "tone": Tone.WARNING}


def _cancel_requested(fact: event_pb2.CancelRequested, time: datetime) -> Mapping[str, Any]:
    return {"what": "cancel requested", "reason": clean(fact.reason), "tone": Tone.WARNING}


def _turned_back(fact: event_pb2.CompensationStarted, time: datetime) -> Mapping[str, Any]:
    return {"what": "turns back", "reason": turn_back_in_words(fact.turn_back), "tone": Tone.WARNING}


def _compensated(fact: event_pb2.StepCompensated, time: datetime) -> Mapping[str, Any]:
    reason = "" if fact.attempt else "has no effect to undo"
    return {"what": "compensated", "reason": reason, "tone": Tone.GOOD}


def _refused(fact: event_pb2.CompensationRefused, time: datetime) -> Mapping[str, Any]:
    reason = named_reason(fact.refusal.reason, fact.refusal.message)
    return {"what": "compensation refused", "reason": reason, "tone": Tone.BAD}


def _attention(fact: event_pb2.AttentionNeeded, time: datetime) -> Mapping[str, Any]:
    return {"what": "needs attention", "reason": clean(fact.message), "tone": Tone.BAD}


def _parked(fact: event_pb2.SagaParked, time: datetime) -> Mapping[str, Any]:
    return {"what": "saga parked", "reason": clean(fact.message), "tone": Tone.STUCK}


def _retried(fact: event_pb2.SagaRetried, time: datetime) -> Mapping[str, Any]:
    return {"what": "retried by operator", "reason": clean(fact.reason)}


def _resolved(fact: event_pb2.StepResolved, time: datetime) -> Mapping[str, Any]:
    resolution = event_pb2.StepResolved.Resolution.Name(fact.resolution)
    return {"what": "resolved by operator", "reason": f"{resolution}: {clean(fact.reason)}"}


def _observed(fact: event_pb2.EventObserved, time: datetime) -> Mapping[str, Any]:
    event_type, cause = clean(fact.type), fact.cause
    if fact.HasField("unhandled"):
        return _unhandled(fact.unhandled)
    what, tone = _OUTCOMES.get(fact.outcome, ("observed", Tone.NEUTRAL))
    said = [event_type]
    if fact.HasField("cause"):
        of = f" of {clean(cause.step)}" if cause.step else ""
        said.append(f"after {clean(cause.type or cause.id)}{of}")
    if fact.replay_of:
        said.append(f"again, for the dead letter {clean(fact.replay_of)}")
    return {"what": what, "reason": ", ".join(said), "tone": tone}


def _unhandled(letter: event_pb2.EventObserved.UnhandledEvent) -> Mapping[str, Any]:
    event = clean(letter.event.type or letter.event.id)
    if letter.replayed:
        return {"what": "sent again", "reason": f"{event}, for {clean(letter.consumer)}"}
    if letter.discarded:
        said = f"{event}, which {clean(letter.consumer)} deals with no more: {clean(letter.message)}"
        return {"what": "discarded", "reason": said, "tone": Tone.WARNING}
    reason = f"{clean(letter.consumer)} could not deal with {event}: "
    return {
        "what": "dead letter",
        "reason": reason + named_reason(letter.reason, letter.message),
        "tone": Tone.BAD,
    }


def _stalled(fact: event_pb2.SagaStalled, time: datetime) -> Mapping[str, Any]:
    return {"what": "saga stalled", "reason": clean(fact.message), "tone": Tone.STUCK}


def _saga_completed(fact: event_pb2.SagaCompleted, time: datetime) -> Mapping[str, Any]:
    return {"what": "saga completed", "tone": Tone.ENDED_WELL}


def _saga_compensated(fact: event_pb2.SagaCompensated, time: datetime) -> Mapping[str, Any]:
    return {"what": "saga compensated", "tone": Tone.ENDED_BACK}


_KINDS: Final[Mapping[str, Callable[[Any, datetime], Mapping[str, Any]]]] = {
    "saga_started": _started,
    "step_succeeded": _succeeded,
    "step_rejected": _rejected,
    "attempt_failed": _failed,
    "attempt_pending": _pending,
    "step_given_up": _given_up,
    "cancel_requested": _cancel_requested,
    "compensation_started": _turned_back,
    "step_compensated": _compensated,
    "compensation_refused": _refused,
    "attention_needed": _attention,
    "saga_parked": _parked,
    "saga_retried": _retried,
    "step_resolved": _resolved,
    "saga_completed": _saga_completed,
    "saga_compensated": _saga_compensated,
    "event_observed": _observed,
    "saga_stalled": _stalled,
}


_OUTCOMES: Final = {
    "succeeded": ("succeeded", Tone.GOOD),
    "rejected": ("rejected", Tone.BAD),
    "compensated": ("compensated", Tone.GOOD),
    "buried": ("never tried", Tone.QUIET),
}
"""What an event tells of the step that it names."""


def _until(stamp: Any, time: datetime) -> str:
    return span(max(0.0, (moment(stamp) - time.astimezone(UTC)).total_seconds()))
