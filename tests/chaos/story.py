"""Tells what belongs to a violation: the story of its saga, or the last words of its process."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tests.chaos.evidence import Evidence

STORIES: Final = 3
"""How many violations get a story: the first few tell most, and a broken round may have thousands."""

LAST_LINES: Final = 25
"""Lines of output that are shown of a process that is to blame."""


def with_stories(found: Iterable[str], evidence: Evidence, outputs: Mapping[str, str]) -> Iterator[str]:
    """Adds to each of the first violations what is known of its saga or its process."""
    for number, violation in enumerate(found):
        if number >= STORIES:
            yield violation
            continue
        words = violation.replace(",", " ").split()
        saga = next((word for word in words if word in evidence.records), "")
        story = _of_saga(saga, evidence) if saga else _of_process(words[0], outputs)
        yield "\n".join([violation, *(f"    {line}" for line in story)])


def _of_saga(saga_id: str, evidence: Evidence) -> Iterator[str]:
    for event in evidence.records[saga_id].events:
        yield f"{event.sequence:3} {event.time:.3f} {str(event.fact)[:400]}"
    for participant, traces in evidence.traces.items():
        for (saga, step), trace in sorted(traces.items()):
            if saga == saga_id:
                lines = ", ".join(f"{line.what} {line.deed} at {line.at / 1e9:.3f}" for line in trace.lines)
                yield f"{participant}: {step}: fence {' -> '.join(trace.moves)}; {lines or 'no effect'}"
    for note in evidence.notes:
        if note.saga == saga_id:
            yield f"customer: {note.told} {note.content} {note.what}"


def _of_process(name: str, outputs: Mapping[str, str]) -> Iterator[str]:
    for line in outputs.get(name, "").splitlines()[-LAST_LINES:]:
        yield f"{name} | {line}"
