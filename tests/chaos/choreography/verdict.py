"""Compares what everybody wrote down, saga by saga and event by event, and says which promise is broken.

What can be told of any choreography is told by `tests.promises.choreography`. What is added here is what only
this stage knows: how each saga has to end, what its customers were told, and what every service has to have
received.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from amends import SagaState
from amends._bus.interface import Message
from amends.choreography import Kind
from amends.v1 import choreography_pb2
from tests.chaos.choreography import door
from tests.chaos.choreography.errands import Errand, broken_at, must_complete
from tests.chaos.choreography.evidence import Evidence
from tests.chaos.choreography.shapes import DESK, SHAPES, Step, entry_of
from tests.chaos.notebook import Note, Told
from tests.promises.ledgers import NO_TRACE, Trace

GONE: Final = frozenset({"REJECTED", "COMPENSATED", "TOMBSTONE", None})
"""The states of the fences of a saga that was compensated: nothing is left."""

LETTER: Final = choreography_pb2.DeadLetter.DESCRIPTOR.full_name

Traces = Mapping[str, Trace]
"""Of one saga, by step."""


def violations(evidence: Evidence) -> Iterator[str]:
    """Tells everything that does not agree; nothing is the hope."""
    yield from evidence.broken
    errands = _errands(evidence.notes)
    for saga_id, traces in traces_of(evidence).items():
        if saga_id not in errands:
            yield f"P10: nobody asked for it, saga {saga_id}"
            continue
        yield from (f"{what}, saga {saga_id}" for what in _check_saga(errands[saga_id], traces))
    yield from _hearsay(evidence)
    yield from _check_bus(evidence)
    yield from _check_dead(evidence, errands)
    yield from _check_shown(evidence, errands)


def ends_of(evidence: Evidence) -> Counter[str]:
    """Counts how sagas have ended."""
    ends: Counter[str] = Counter()
    for traces in traces_of(evidence).values():
        fences = {trace.fence for trace in traces.values()}
        if "TRIED" in fences and fences.isdisjoint(GONE):
            ends["completed"] += 1
        elif fences == {"REJECTED"}:
            ends["turned away"] += 1
        else:
            ends["compensated"] += 1
    return ends


def traces_of(evidence: Evidence) -> dict[str, dict[str, Trace]]:
    """What all services wrote down of each saga: names of steps are unique among them."""
    found: dict[str, dict[str, Trace]] = defaultdict(dict)
    for parts in evidence.parts.values():
        for saga, part in parts.items():
            found[saga].update(part.traces)
    return dict(found)


def _errands(notes: Iterable[Note]) -> dict[str, Errand]:
    asked = {note.saga: json.loads(note.what) for note in notes if note.told is Told.ASKED}
    return {
        saga: Errand(saga_id=saga, shape=wish["shape"], wishes=wish["wishes"]) for saga, wish in asked.items()
    }


# A saga by itself


def _check_saga(errand: Errand, traces: Traces) -> Iterator[str]:
    shape = SHAPES[errand.shape]
    completes = must_complete(errand)
    for name, step in shape.items():
        fence = traces.get(name, NO_TRACE).fence
        if completes and fence != "TRIED":
            yield f"P2: nothing was to be rejected, and {name!r} is {fence}"
        if not completes and fence not in GONE and not step.effect_free:
            yield f"P3: a step was to be rejected, and {name!r} is {fence}"
    for name in traces.keys() - shape.keys():
        yield f"P7: {name!r} has a fence, and is no step of it"
    yield from _check_order(shape, traces)
    yield from _check_pivot(shape, traces)


def _check_order(shape: Mapping[str, Step], traces: Traces) -> Iterator[str]:
    """P6 as the services saw it."""
    for name, step in shape.items():
        mine = traces.get(name, NO_TRACE)
        for needed in step.needs:
            its = traces.get(needed, NO_TRACE)
            if mine.at("applied") and not 0 < its.at("applied") < mine.at("applied"):
                yield f"P6: {name!r} was applied before {needed!r}, which it needs"
        for later in step.undone_after:
            its = traces.get(later, NO_TRACE)
            if mine.at("undone") and its.at("applied") and not 0 < its.at("undone") < mine.at("undone"):
                yield f"P6: {name!r} was undone before {later!r}, which it waits for"


def _check_pivot(shape: Mapping[str, Step], traces: Traces) -> Iterator[str]:
    pivots = [name for name, step in shape.items() if step.kind is Kind.PIVOT]
    for pivot in pivots:
        applied = traces.get(pivot, NO_TRACE).at("applied")
        undone = [name for name, trace in traces.items() if trace.count("undone")]
        if applied and undone:
            yield f"P8: the pivot was applied, and {undone} undone"


# What customers were told


def _hearsay(evidence: Evidence) -> Iterator[str]:
    for note in evidence.notes:
        if note.told in (Told.ACCEPTED, Told.EXISTS, Told.ENDED):
            yield from (f"{what}, saga {note.saga}" for what in _check_note(note, evidence))


def _check_note(note: Note, evidence: Evidence) -> Iterator[str]:
    part = evidence.parts[DESK].get(note.saga)
    entries = [entry_of(shape) for shape in SHAPES.values()]
    fence = next((part.traces[entry].fence for entry in entries if part and entry in part.traces), None)
    content = evidence.contents.get(note.saga)
    match note.told:
        case Told.ACCEPTED if content is None:
            yield f"P1: it was begun, and its entry is {fence}"
        case Told.ACCEPTED if content != note.content:
            yield f"P10: content {note.content} was begun, and the desk has {content}"
        case Told.EXISTS if fence is None:
            yield "P1: it was said to exist, and the desk does not know it"
        case Told.EXISTS if content == note.content:
            yield f"P10: content {note.content} was refused as another, and is what the desk has"
        case Told.ENDED if note.what == door.REJECTED and fence != "REJECTED":
            yield f"P1: it was told to be rejected, and its entry is {fence}"
        case Told.ENDED if note.what == door.LATE and fence != "COMPENSATED":
            yield f"P1: it was told to be compensated, and its entry is {fence}"


# The bus


def _check_bus(evidence: Evidence) -> Iterator[str]:
    """P2: every service has received what it asked for; P6: a service's events of a saga are in order."""
    places: dict[str, int] = {}
    for place, message in enumerate(evidence.messages):
        reference = f"{_header(message, 'source')}/{_header(message, 'id')}"
        places.setdefault(reference, place)
        for service, families in evidence.families.items():
            if message.subject not in families:
                continue
            part = evidence.parts[service].get(message.key)
            state = part.inbox.get(reference) if part else None
            if state != "DONE":
                yield f"P2: {reference} is on the bus, and at {service} it is {state}, saga {message.key}"
    for service, outbox in evidence.outboxes.items():
        last: dict[str, int] = {}
        for saga, event in outbox:
            if event not in places:
                yield f"P2: {event} of {service} is not on the bus, saga {saga}"
            elif places[event] < last.get(saga, -1):
                yield f"P6: {event} of {service} was published before an earlier one, saga {saga}"
            else:
                last[saga] = places[event]


def _check_dead(evidence: Evidence, errands: Mapping[str, Errand]) -> Iterator[str]:
    """P12: what was dead said so; and nothing was but what was to be."""
    letters: dict[tuple[str, str], set[str]] = defaultdict(set)
    for message in evidence.messages:
        if _header(message, "type") == LETTER:
            letter = choreography_pb2.DeadLetter.FromString(message.data)
            letters[letter.consumer, letter.event_id].add(message.id)
    for (service, event), ids in letters.items():
        if len(ids) > 1:
            yield f"P12: {event} has died {len(ids)} times at {service}"
    for service, saga, event in evidence.dead:
        if not letters[service, event]:
            yield f"P12: {event} was dead at {service}, and no letter says so, saga {saga}"
        broken = broken_at(errands[saga]) if saga in errands else None
        if broken != service:
            yield f"P12: {event} was dead at {service}, and the errand breaks {broken}, saga {saga}"


def _check_shown(evidence: Evidence, errands: Mapping[str, Errand]) -> Iterator[str]:
    """P2: the tracker shows every saga of which there are events, and how it ended."""
    for saga in sorted({message.key for message in evidence.messages} & errands.keys()):
        ended = SagaState.COMPLETED if must_complete(errands[saga]) else SagaState.COMPENSATED
        if evidence.shown.get(saga) is not ended:
            yield f"P2: it ended {ended}, and the tracker shows {evidence.shown.get(saga)}, saga {saga}"


def _header(message: Message, name: str) -> str:
    return unquote(message.headers.get(f"ce-{name}", ""))
