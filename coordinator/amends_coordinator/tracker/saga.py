"""A choreographed saga as its events tell, and what each turn of it adds to its log. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from amends_coordinator.core.transitions import TrackedState
from amends_coordinator.tracker.graph import Graph, StepKey
from amends_coordinator.tracker.judging import Expected, Judgement, judge
from amends_coordinator.tracker.observation import TURNED_BACK, Letter, Observation

EVENTS_MAX: Final = 4_000
"""Events that are kept of one saga: a thousand steps, each told twice, with a retry of both. A service that
emits without end under one id must not fill our memory."""

NAME_MAX: Final = 128
_NO_NAME = re.compile(r"[^A-Za-z0-9._:~-]")

NAMED_MAX: Final = 3
"""Reasons named when a saga stalls; of more, their number."""


@dataclass(frozen=True, slots=True)
class Began:
    """The first event of a saga was heard."""

    definition_name: str
    traceparent: str
    time: float  # moment


@dataclass(frozen=True, slots=True)
class Heard:
    """An event was heard."""

    observation: Observation
    cause: Observation | None  # the event that led to it, if that was heard


@dataclass(frozen=True, slots=True)
class TurnedBack:
    """Something is being undone from here on."""

    by: Observation
    time: float  # moment


@dataclass(frozen=True, slots=True)
class Stalled:
    """The saga does not go on; says why."""

    message: str
    time: float  # moment


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more is expected."""

    state: TrackedState
    time: float  # moment


Fact: TypeAlias = Began | Heard | TurnedBack | Stalled | Ended


@dataclass(slots=True, kw_only=True)
class TrackedSaga:
    """What is known of a saga. The observations are its whole story; all else follows, or is for lists."""

    id: str
    observations: list[Observation] = field(default_factory=list)
    references: dict[str, Observation] = field(default_factory=dict)
    definition_name: str = ""
    state: TrackedState = TrackedState.RUNNING
    turned_back: bool = False  # and its log says so
    create_time: float = 0.0  # moment
    heard_time: float = 0.0  # moment, by our clock, of the last event that was new
    end_time: float | None = None  # moment
    needs_attention: str = ""
    sequence: int = 0  # of the last fact in its log

    @property
    def full(self) -> bool:
        """Whether it has so many events that no more are kept."""
        return len(self.observations) >= EVENTS_MAX

    @property
    def traceparent(self) -> str:
        """The trace that it was begun in."""
        return self.observations[0].traceparent if self.observations else ""


def hear(saga: TrackedSaga, observation: Observation, now: float) -> list[Fact]:
    """Takes an event in and returns what is new: nothing if it was heard before, or if there is no room."""
    if observation.reference in saga.references or saga.full:
        return []
    # Clocks of services may be apart, and the events of a saga still follow each other.
    before = saga.observations[-1].time if saga.observations else 0.0
    observation = replace(observation, time=max(min(observation.time, now), before))
    facts: list[Fact] = []
    if not saga.observations:
        saga.create_time = observation.time
        saga.definition_name = _definition_name(observation)
        facts.append(Began(saga.definition_name, observation.traceparent, observation.time))
    remember(saga, observation)
    saga.heard_time = now
    facts.append(Heard(observation, saga.references.get(observation.cause)))
    if observation.outcome in TURNED_BACK and not saga.turned_back:
        saga.turned_back = True
        facts.append(TurnedBack(observation, observation.time))
    return facts


def remember(saga: TrackedSaga, observation: Observation) -> None:
    """Adds an event to the story, be it just heard or read from the log."""
    saga.observations.append(observation)
    saga.references[observation.reference] = observation


def _definition_name(first: Observation) -> str:
    """What the sagas that begin like this are called: by their entry, or by the event from elsewhere."""
    key = first.key
    name = key.name if key is not None else f"{first.source}.{first.type.rpartition('.')[2]}"
    return _NO_NAME.sub("_", name)[:NAME_MAX]  # so that it can be asked for like any other


def conclude(saga: TrackedSaga, graph: Graph, now: float, *, silence: str) -> list[Fact]:
    """Judges a saga anew, changes its state, and returns what its log should say of that.

    Args:
        saga: the saga.
        graph: the declared reactions.
        now: the present moment.
        silence: for how long nothing was heard, in words, if that is too long; else empty.
    """
    judgement = judge(graph, saga.observations)
    state, attention = _state(saga, judgement, silence)
    facts: list[Fact] = []
    # What follows from events that were heard late is told as if it had been concluded at once.
    then = saga.observations[-1].time
    if judgement.turned_back_by is not None and not saga.turned_back:
        saga.turned_back = True
        facts.append(TurnedBack(judgement.turned_back_by, then))
    changed = state is not saga.state
    if state is TrackedState.STALLED:
        if changed or attention != saga.needs_attention:
            facts.append(Stalled(attention, now))
    elif changed and state.ended:
        facts.append(Ended(state, then))
    if changed:
        saga.end_time = then if state.ended else None
    saga.state, saga.needs_attention = state, attention
    return facts


def _state(saga: TrackedSaga, judgement: Judgement, silence: str) -> tuple[TrackedState, str]:
    turned_back = judgement.turned_back_by is not None
    if saga.full:
        return TrackedState.STALLED, f"has {EVENTS_MAX} events; what came after them is not followed"
    reasons = [_past(key) for key in judgement.pivots] if turned_back else []
    reasons += [_unhandled(each) for each in judgement.letters]
    if reasons:
        return TrackedState.STALLED, _named(reasons)
    if not judgement.expected:
        return (TrackedState.COMPENSATED if turned_back else TrackedState.COMPLETED), ""
    if silence:
        return TrackedState.STALLED, _named([_missing(each, silence) for each in judgement.expected])
    return (TrackedState.COMPENSATING if turned_back else TrackedState.RUNNING), ""


def _named(reasons: Sequence[str]) -> str:
    more = len(reasons) - NAMED_MAX
    return "; ".join(reasons[:NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")


def _past(pivot: StepKey) -> str:
    return f"turned back although {pivot.name}, its pivot, succeeded"


def _missing(expected: Expected, silence: str) -> str:
    key, event = expected.key, expected.event.type
    if expected.backward:
        return f"{key.service} has not compensated {key.step} after {event} for {silence}"
    return f"{key.service} has not reacted to {event} for {silence}"


def _unhandled(letter: Letter) -> str:
    event = letter.event_type or letter.event_id
    return f"{letter.consumer} could not deal with {event}: {letter.reason}; see amends dead-letters list"
