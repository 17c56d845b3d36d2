"""Judges choreographed sagas when everything has come to rest: no coordinator kept a log of them.

There are three witnesses for each saga, and they must agree:

* what each service wrote down in its own database: fence, ledger, inbox and outbox (`Part`);
* the events on the bus (`Event`);
* what the services declare, as they announced it on the bus: which step answers to which event, and which
  events have it undone.

A saga has turned back as soon as one step was rejected, undone or buried. Then nothing may be left of it, but
for what is free of effect; otherwise every step that was reached must have had its effect once. Where an
event is dead its saga has not ended: a letter must say so, and the steps of its consumer that answer to it
are excused. No others are: what is asked of these must be done (P12).

The services of tests write a line of their ledger for every effect, be it free of consequence or not; see
`tests.promises.ledgers`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from amends._bus.interface import Bus, Message
from amends.v1 import choreography_pb2, saga_pb2
from amends_coordinator.core.transitions import SagaState
from tests.promises.effects import Effect, Ended, broken_by_effects
from tests.promises.ledgers import NO_TRACE, Trace, read_traces, rows
from tests.promises.traces import broken_by_trace

TOLD: Final[Mapping[str | None, frozenset[str]]] = {
    None: frozenset(),
    "TRIED": frozenset({"succeeded"}),
    "REJECTED": frozenset({"rejected"}),
    "COMPENSATED": frozenset({"succeeded", "compensated"}),
    "TOMBSTONE": frozenset({"buried"}),
}
"""What events tell of a step, for each state of its fence."""

TURNED_BACK: Final = frozenset({"REJECTED", "COMPENSATED", "TOMBSTONE"})
"""The states of fences of a saga that does not go forward any more."""

LETTER: Final = choreography_pb2.DeadLetter.DESCRIPTOR.full_name

Declared = Mapping[str, choreography_pb2.ServiceDescription]
"""What services declare, by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event on the bus."""

    reference: str
    """Its source and id, with a slash between."""
    type: str
    source: str
    step: str = ""
    outcome: str = ""
    cause: str = ""
    replay_of: str = ""
    about: tuple[str, str] | None = None
    """Of a dead letter: the consumer, and the event that it gave up."""


@dataclass(slots=True, kw_only=True)
class Part:
    """What one service wrote down about one saga."""

    traces: dict[str, Trace] = field(default_factory=dict)
    """By step."""
    inbox: dict[str, str] = field(default_factory=dict)
    """The states of events, by their references."""
    outbox: dict[str, bool] = field(default_factory=dict)
    """Whether events are marked as sent, by their references."""


Parts = Mapping[str, Part]
"""By service."""


async def violations_of(bus: Bus, stores: Mapping[str, Path]) -> list[str]:
    """Reads everything that is left, and judges it.

    Args:
        bus: open, with everything that was ever published.
        stores: the databases of the services, by their names; nobody writes to them any more.
    """
    declared = {
        name: choreography_pb2.ServiceDescription.FromString(data)
        for name, data in (await bus.announced()).items()
    }
    events: dict[str, list[Event]] = defaultdict(list)
    async for page in bus.read(0, follow=False):
        for _sequence, message in page:
            events[message.key].append(read_event(message))
    parts: dict[str, dict[str, Part]] = defaultdict(dict)
    for service, path in stores.items():
        for saga, part in read_parts(path).items():
            parts[saga][service] = part
    return [
        f"{what}, saga {saga}"
        for saga in sorted(events.keys() | parts.keys())
        for what in broken_promises(declared, parts.get(saga, {}), events.get(saga, []))
    ]


def read_event(message: Message) -> Event:
    """Reads the attributes of an event, with no code of the SDK's."""
    attributes = {
        name: unquote(message.headers.get(f"ce-{name}", ""))
        for name in ("id", "source", "type", "sagastep", "sagaoutcome", "causationid", "replayof")
    }
    about = None
    if attributes["type"] == LETTER:
        letter = choreography_pb2.DeadLetter.FromString(message.data)
        about = (letter.consumer, letter.event_id)
    return Event(
        reference=f"{attributes['source']}/{attributes['id']}",
        type=attributes["type"],
        source=attributes["source"],
        step=attributes["sagastep"],
        outcome=attributes["sagaoutcome"],
        cause=attributes["causationid"],
        replay_of=attributes["replayof"],
        about=about,
    )


def read_parts(store: Path) -> dict[str, Part]:
    """Reads what a service wrote down, by saga."""
    parts: dict[str, Part] = defaultdict(Part)
    for (saga, step), trace in read_traces(store).items():
        parts[saga].traces[step] = trace
    for saga, event, state in rows(store, "SELECT saga_id, event_id, state FROM amends_inbox"):
        parts[saga].inbox[event] = state
    for saga, event, sent in rows(store, "SELECT saga_id, event_id, sent_at FROM amends_outbox"):
        parts[saga].outbox[event] = sent is not None
    return dict(parts)


def broken_promises(declared: Declared, parts: Parts, events: Sequence[Event]) -> Iterator[str]:
    """Tells which promises a saga breaks, at rest; nothing is the hope.

    Args:
        declared: what all services declare.
        parts: what each of them wrote down about this saga.
        events: those of this saga on the bus, in the bus's order.
    """
    yield from _restless(parts, events)
    yield from _hidden(parts, events)
    yield from _unheard(declared, parts, events)
    yield from _untold(declared, parts, events)
    yield from _out_of_order(parts, events)
    yield from _effects(declared, parts)
    yield from _beyond_pivots(declared, parts)


def has_turned_back(parts: Parts) -> bool:
    """Tells whether a step of the saga was rejected, undone or buried."""
    return any(trace.fence in TURNED_BACK for _, _, trace in _traces(parts))


# Nothing is left to do


def _restless(parts: Parts, events: Sequence[Event]) -> Iterator[str]:
    """P2: what still waits, and what was lost on its way."""
    on_bus = {event.reference for event in events}
    for service, part in parts.items():
        for reference, is_sent in part.outbox.items():
            if not is_sent:
                yield f"P2: {reference} waits in the outbox of {service}"
            elif reference not in on_bus:
                yield f"P2: {reference} is marked as sent by {service}, and is not on the bus"
        for reference, state in part.inbox.items():
            if state == "WAITING":
                yield f"P2: {reference} waits in the inbox of {service}"
            if state == "PARKED" and "DEAD" not in part.inbox.values():
                yield f"P2: {reference} is parked at {service}, and nothing is in its way"
    for event in events:
        if (
            event.source in parts
            and event.reference not in parts[event.source].outbox
            and not event.replay_of
        ):
            yield f"P7: {event.reference} is on the bus, and was never in the outbox of {event.source}"


def _hidden(parts: Parts, events: Sequence[Event]) -> Iterator[str]:
    """P12: an event that is dead, and no letter that says so."""
    letters = {event.about for event in events if event.about}
    for service, part in parts.items():
        for reference, state in part.inbox.items():
            if state == "DEAD" and (service, reference) not in letters:
                yield f"P12: {reference} is dead at {service}, and no letter says so"


# Every event was answered, and every answer was told


def _unheard(declared: Declared, parts: Parts, events: Sequence[Event]) -> Iterator[str]:
    """P2: events that a step should have answered to, and compensations that did not come about."""
    for service, reaction, trace in _declared(declared, parts):
        undoing = {each.on for each in reaction.compensations}
        heard = _heard(events, lambda name, on=reaction.on: name == on)
        asked = _heard(events, lambda name, undoing=undoing: name in undoing)
        if heard and trace.fence is None and not _given_up(parts, service, heard, events):
            yield f"P2: {service}.{reaction.step} never answered to {heard[0].type}"
        if asked and trace.fence not in TURNED_BACK and not _given_up(parts, service, asked, events):
            yield f"P2: {asked[0].type} asks for it, and {service}.{reaction.step} is {trace.fence}"


def _heard(events: Sequence[Event], is_meant: Callable[[str], bool]) -> list[Event]:
    return [event for event in events if not event.replay_of and is_meant(event.type)]


def _given_up(parts: Parts, service: str, asking: Iterable[Event], events: Sequence[Event]) -> bool:
    """Tells whether none of these has been dealt with: each is dead, or behind one that is."""
    inbox = parts[service].inbox if service in parts else {}

    def waits(event: Event) -> bool:
        if inbox.get(event.reference) in ("DEAD", "PARKED"):
            return True
        repeated = f"{service}/{event.reference}"
        return any(waits(again) for again in events if again.replay_of == repeated)

    return all(map(waits, asking))


def _untold(declared: Declared, parts: Parts, events: Sequence[Event]) -> Iterator[str]:
    """P4: what events tell of a step is what its fence says, each thing once."""
    told: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for event in events:
        if event.step and event.outcome and event.about is None and not event.replay_of:
            told[event.source, event.step][event.outcome].add(event.cause)
    for service, reaction, trace in _declared(declared, parts):
        outcomes = told.pop((service, reaction.step), {})
        expected = TOLD.get(trace.fence, frozenset())
        if trace.fence == "REJECTED" and not reaction.fails_as:
            expected = frozenset()  # only whoever called was told
        if outcomes.keys() != expected:
            yield f"P3: {service}.{reaction.step} is {trace.fence}, and events tell {sorted(outcomes)}"
        for outcome, causes in outcomes.items():
            if len(causes) > 1:
                yield f"P4: {service}.{reaction.step} {outcome} because of {sorted(causes)}"
    for service, step in told:
        if service in declared:
            yield f"P7: events tell of {service}.{step}, which nobody declares"


def _out_of_order(parts: Parts, events: Sequence[Event]) -> Iterator[str]:
    """P6: nothing follows from an event that is not on the bus, or comes before it."""
    by_reference = {event.reference: event for event in events}
    for event in events:
        if not event.cause:
            continue
        cause = by_reference.get(event.cause)
        if cause is None:
            yield f"P6: {event.type} was caused by {event.cause}, which is not on the bus"
        elif event.outcome == cause.outcome == "succeeded":
            mine, its = (_trace(parts, each).at("applied") for each in (event, cause))
            if mine and its >= mine:
                yield f"P6: {event.step!r} was applied before {cause.step!r}, which led to it"


# Effects


def _effects(declared: Declared, parts: Parts) -> Iterator[str]:
    state = _state(parts)
    steps = {(service, reaction.step): reaction for service, reaction, _ in _declared(declared, parts)}
    for service, step, trace in _traces(parts):
        yield from (f"{what}, step {service}.{step}" for what in broken_by_trace(trace))
        reaction = steps.get((service, step))
        if reaction is None:
            yield f"P7: {service} has a fence for {step!r}, which it does not declare"
            continue
        ended = Ended(f"{service}.{step}", str(trace.fence), reaction.effect_free)
        effect = Effect(trace.count("applied"), trace.count("undone"))
        if trace.fence is not None:  # else its trace tells, if there is anything to tell
            yield from broken_by_effects(state, [ended], {ended.step: effect})


def _state(parts: Parts) -> SagaState:
    if any("DEAD" in part.inbox.values() for part in parts.values()):
        return SagaState.PARKED
    return SagaState.COMPENSATED if has_turned_back(parts) else SagaState.COMPLETED


def _beyond_pivots(declared: Declared, parts: Parts) -> Iterator[str]:
    """P8: once a pivot has succeeded nothing turns back."""
    final = [
        f"{service}.{reaction.step}"
        for service, reaction, trace in _declared(declared, parts)
        if reaction.kind == saga_pb2.Step.PIVOT and trace.fence == "TRIED"
    ]
    for service, step, trace in _traces(parts):
        if final and trace.fence in TURNED_BACK:
            yield f"P8: the pivot {final[0]} has succeeded, and {service}.{step} is {trace.fence}"


# Small words


def _declared(
    declared: Declared, parts: Parts
) -> Iterator[tuple[str, choreography_pb2.ReactionDescription, Trace]]:
    """Every declared reaction, with its service and what is left of it."""
    for service, description in declared.items():
        traces = parts[service].traces if service in parts else {}
        for reaction in description.reactions:
            yield service, reaction, traces.get(reaction.step, NO_TRACE)


def _traces(parts: Parts) -> Iterator[tuple[str, str, Trace]]:
    for service, part in parts.items():
        for step, trace in part.traces.items():
            yield service, step, trace


def _trace(parts: Parts, event: Event) -> Trace:
    part = parts.get(event.source)
    return NO_TRACE if part is None else part.traces.get(event.step, NO_TRACE)
