"""Compares what customers were told with what is in the log: P1 and P10, as they are seen from outside."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from google.protobuf.struct_pb2 import Struct

from amends_coordinator.core import facts as f
from tests.chaos.evidence import Record
from tests.chaos.notebook import Note, Told


def violations(notes: Iterable[Note], records: Mapping[str, Record]) -> Iterator[str]:
    """Tells what customers were told that is not so."""
    asked: dict[str, set[int]] = defaultdict(set)
    for note in notes:
        if note.told is Told.ASKED:
            asked[note.saga].add(note.content)
        elif note.told is not Told.BORN:
            yield from (f"{what}, saga {note.saga}" for what in _check_note(note, records.get(note.saga)))
    for saga_id, record in records.items():
        if record.events and _content(record) not in asked[saga_id]:
            yield f"P10: nobody asked for it with content {_content(record)}, saga {saga_id}"


def _check_note(note: Note, record: Record | None) -> Iterator[str]:
    if record is None or not record.events:
        if note.told in (Told.ACCEPTED, Told.EXISTS):
            yield "P1: its start was answered, and it is not in the log"
        return
    kinds = [type(event.fact) for event in record.events]
    match note.told:
        case Told.MISSING:
            yield "P1: its start was answered, and it was not found"
        case Told.ACCEPTED if _content(record) != note.content:
            yield f"P10: content {note.content} was accepted, and the log has {_content(record)}"
        case Told.EXISTS if _content(record) == note.content:
            yield f"P10: content {note.content} was refused as another, and is what the log has"
        case Told.ENDED if record.row.state.name != note.what:
            yield f"P1: it was told to be {note.what}, and is {record.row.state.name}"
        case Told.GRANTED if not _GRANTS[note.what.partition(" ")[0]] & set(kinds):
            yield f"P1: a wish was granted, and the log does not know of it: {note.what}"
        case Told.SEEN if not 0 < note.content <= len(kinds) or _word(kinds[note.content - 1]) != note.what:
            yield f"P1: a watcher saw event {note.content}, {note.what}, and the log has another or none"


_GRANTS: Final[Mapping[str, set[type[f.Fact]]]] = {
    "cancel": {f.CancelRequested, f.CompensationStarted},
    "retry": {f.SagaRetried},
    "resolve": {f.StepResolved},
}
"""What a wish that was granted leads to, or has led to: a saga that turned back is cancelled already."""


def _word(kind: type[f.Fact]) -> str:
    """SagaStarted as clients name it: SAGA_STARTED."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()


def _content(record: Record) -> int:
    """Which of the contents that were asked for a saga has."""
    started = record.events[0].fact
    assert isinstance(started, f.SagaStarted), "checked when it was rebuilt"
    assert started.input is not None, "errands have an input"
    return int(Struct.FromString(started.input.value).fields["content"].number_value)
