"""What the events of a saga come to, by the declared reactions. Pure.

A step ends once. What its service tells of it is one of these rows, and what is still expected of it follows
from the row and from the events that were heard:

| told of a step        | an event that it reacts to | an event that compensates it   |
|-----------------------|----------------------------|--------------------------------|
| nothing               | its end is expected        | its compensation is expected   |
| succeeded             | nothing more               | its compensation is expected   |
| rejected              | nothing more               | nothing: there is no effect    |
| compensated or buried | nothing more               | nothing more                   |

A pivot that succeeded is never undone. If anything else is, the saga is half done and half undone (P8), and
nothing that its services do by themselves will put that right.

These are the answers of the fence: one that was rejected or undone before confirms a compensation and says
nothing; one that was never tried is buried, and says so. What an operator has had a service discard is not
expected of it any more.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from amends_coordinator.core.limits import MAX_STEPS
from amends_coordinator.core.transitions import StepState
from amends_coordinator.tracker.graph import Graph, StepKey
from amends_coordinator.tracker.observation import TURNED_BACK, Letter, Observation, Outcome


@dataclass(slots=True)
class Told:
    """What was told of a step."""

    by: dict[Outcome, Observation] = field(default_factory=dict)  # the first event that told it so

    @property
    def settled(self) -> bool:
        """Whether a compensation would find nothing to undo."""
        return not TURNED_BACK.isdisjoint(self.by)


@dataclass(frozen=True, slots=True)
class Expected:
    """Who is to react to what."""

    key: StepKey
    event: Observation
    backward: bool  # whether it is to be compensated


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the events of a saga come to."""

    told: dict[StepKey, Told]
    expected: Sequence[Expected]
    letters: Sequence[Letter]  # those that nobody has sent again or discarded
    turned_back_by: Observation | None  # the event that made the saga turn back; None while it goes forward
    pivots: Sequence[StepKey]  # those that have succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far one step is."""

    key: StepKey
    state: StepState
    cause: Observation | None = None  # the event that had it tried, where it is known
    compensation_cause: Observation | None = None
    rejection: Observation | None = None
    needs: tuple[StepKey, ...] = ()
    letter: Letter | None = None  # what its service could not deal with


def judge(graph: Graph, observations: Iterable[Observation]) -> Judgement:
    """Concludes what is done and what is expected."""
    told: dict[StepKey, Told] = {}
    first: dict[str, Observation] = {}  # by type
    letters: dict[tuple[str, str], Letter] = {}
    discarded: set[tuple[str, str]] = set()
    repeated: dict[str, str] = {}  # the events that were sent again, by what they were sent as
    turned_back_by = None
    for heard in observations:
        if heard.letter is not None:
            _sort(letters, heard.letter)
            if heard.letter.discarded:
                discarded.update(_all_of(heard.letter, repeated))
            continue
        if heard.replay_of:
            repeated[heard.reference] = heard.replay_of.partition("/")[2]
        first.setdefault(heard.type, heard)
        if heard.key is not None and heard.outcome is not None:
            told.setdefault(heard.key, Told()).by.setdefault(heard.outcome, heard)
            if turned_back_by is None and heard.outcome in TURNED_BACK:
                turned_back_by = heard
    expected = [
        each
        for each in _expected(graph, told, first)
        if (each.key.service, each.event.reference) not in discarded
    ]
    backward = (each.event for each in expected if each.backward)
    return Judgement(
        told=told,
        expected=expected,
        letters=tuple(letters.values()),
        turned_back_by=turned_back_by or next(backward, None),
        pivots=[key for key, ends in told.items() if Outcome.SUCCEEDED in ends.by and graph.is_pivot(key)],
    )


def _sort(letters: dict[tuple[str, str], Letter], letter: Letter) -> None:
    """Adds a dead letter, or takes away the one that was sent again or discarded."""
    if letter.replayed or letter.discarded:
        letters.pop((letter.consumer, letter.event_id), None)
    else:
        letters[letter.consumer, letter.event_id] = letter


def _all_of(letter: Letter, repeated: dict[str, str]) -> set[tuple[str, str]]:
    """The event of a dead letter, and those that it was sent in place of."""
    found, event_id = set(), letter.event_id
    while event_id and (letter.consumer, event_id) not in found:
        found.add((letter.consumer, event_id))
        event_id = repeated.get(event_id, "")
    return found


def _expected(graph: Graph, told: dict[StepKey, Told], first: dict[str, Observation]) -> Iterator[Expected]:
    compensated: set[StepKey] = set()  # by whichever event came first
    for event_type, heard in first.items():
        for reaction in graph.reactions_on(event_type):
            if reaction.key not in told:
                yield Expected(reaction.key, heard, backward=False)
        for reaction in graph.compensated_on(event_type):
            if reaction.key in compensated or (reaction.key in told and told[reaction.key].settled):
                continue
            compensated.add(reaction.key)
            yield Expected(reaction.key, heard, backward=True)


STEPS_MAX: Final = MAX_STEPS
"""Steps shown of one saga: as many as a definition may have."""


def steps(
    graph: Graph, observations: Sequence[Observation], judgement: Judgement, *, going: bool
) -> list[Step]:
    """Shows every step that was told of, is expected, or may come: in the order in which they did or may.

    Args:
        graph: the declared reactions.
        observations: the events of the saga.
        judgement: what they come to.
        going: whether steps that were not reached may be yet.
    """
    by_reference = {heard.reference: heard for heard in observations}
    expected = {(each.key, each.backward): each.event for each in judgement.expected}
    letters = {StepKey(each.consumer, each.step): each for each in judgement.letters}
    shown = []
    leads = _leads(graph, judgement)
    for key, needs in leads.items():
        told = judgement.told.get(key, Told())
        forward, backward = expected.get((key, False)), expected.get((key, True))
        cause = forward or _cause(told, (Outcome.SUCCEEDED, Outcome.REJECTED), by_reference)
        reached = bool(told.by) or forward is not None or backward is not None
        shown.append(
            Step(
                key=key,
                state=_state(told, forward, backward, going=going),
                cause=cause,
                compensation_cause=backward
                or _cause(told, (Outcome.COMPENSATED, Outcome.BURIED), by_reference),
                rejection=told.by.get(Outcome.REJECTED),
                needs=_needs(cause, leads) if reached else needs,
                letter=letters.get(key),
            )
        )
    return shown


def _needs(cause: Observation | None, leads: dict[StepKey, tuple[StepKey, ...]]) -> tuple[StepKey, ...]:
    """The step whose event was the cause, if it is shown."""
    return (cause.key,) if cause is not None and cause.key is not None and cause.key in leads else ()


def _leads(graph: Graph, judgement: Judgement) -> dict[StepKey, tuple[StepKey, ...]]:
    """The steps to show, each with those that may lead to it by what they emit when they succeed."""
    heard = chain(judgement.told, (each.key for each in judgement.expected))
    found: dict[StepKey, tuple[StepKey, ...]] = dict.fromkeys(heard, ())
    ahead = list(found)
    for key in ahead:  # grows as it is gone through
        reaction = graph.reaction(key)
        for event_type in reaction.emits if reaction is not None else ():
            for following in graph.reactions_on(event_type):
                if following.key not in found:
                    ahead.append(following.key)
                if key not in found.setdefault(following.key, ()):
                    found[following.key] += (key,)
        if len(found) >= STEPS_MAX:
            break
    return dict(list(found.items())[:STEPS_MAX])


def _cause(
    told: Told, outcomes: Iterable[Outcome], by_reference: dict[str, Observation]
) -> Observation | None:
    """The event that led to one of these outcomes, if it was heard."""
    for outcome in outcomes:
        if outcome in told.by:
            return by_reference.get(told.by[outcome].cause)
    return None


def _state(
    told: Told, forward: Observation | None, backward: Observation | None, *, going: bool
) -> StepState:
    if Outcome.COMPENSATED in told.by:
        return StepState.COMPENSATED
    if Outcome.BURIED in told.by:
        return StepState.SKIPPED
    if Outcome.REJECTED in told.by:
        return StepState.REJECTED
    if backward is not None and forward is None:
        return StepState.COMPENSATING
    if Outcome.SUCCEEDED in told.by:
        return StepState.SUCCEEDED
    if forward is not None:
        return StepState.TRYING
    return StepState.WAITING if going else StepState.SKIPPED
