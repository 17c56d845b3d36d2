"""Tells what belongs to a violation: the story of its saga, or the last words of its process."""

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from tests.chaos.choreography.evidence import Evidence
from tests.chaos.choreography.verdict import traces_of
from tests.chaos.story import LAST_LINES, STORIES


def with_stories(
    found: Iterable[str], evidence: Evidence | None, outputs: Mapping[str, str]
) -> Iterator[str]:
    """Adds to each of the first violations what is known of its saga or its process."""
    sagas = {} if evidence is None else {note.saga for note in evidence.notes}
    for number, violation in enumerate(found):
        if number >= STORIES:
            yield violation
            continue
        words = violation.replace(",", " ").split()
        saga = next((word for word in reversed(words) if word and word in sagas), "")
        told = _of_process(words[0], outputs) if not saga or evidence is None else _of_saga(saga, evidence)
        yield "\n".join([violation, *(f"    {line}" for line in told)])


def _of_saga(saga_id: str, evidence: Evidence) -> Iterator[str]:
    for place, message in enumerate(evidence.messages):
        if message.key == saga_id:
            told = {name.removeprefix("ce-"): unquote(value) for name, value in message.headers.items()}
            keep = ("source", "id", "type", "sagastep", "sagaoutcome", "causationid", "replayof", "time")
            yield f"bus {place:5} " + " ".join(f"{name}={told[name]}" for name in keep if name in told)
    for service, parts in evidence.parts.items():
        part = parts.get(saga_id)
        if part is not None:
            yield f"{service}: inbox {dict(part.inbox)}"
            yield f"{service}: outbox {dict(part.outbox)}"
    for step, trace in traces_of(evidence).get(saga_id, {}).items():
        lines = ", ".join(f"{line.what} {line.deed} at {line.at / 1e9:.3f}" for line in trace.lines)
        yield f"{step}: fence {' -> '.join(trace.moves)}; {lines or 'no effect'}"
    for note in evidence.notes:
        if note.saga == saga_id:
            yield f"customer: {note.told} {note.content} {note.what}"


def _of_process(name: str, outputs: Mapping[str, str]) -> Iterator[str]:
    for line in outputs.get(name, "").splitlines()[-LAST_LINES:]:
        yield f"{name} | {line}"
