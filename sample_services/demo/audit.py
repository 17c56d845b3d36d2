"""Compares what the services wrote down with what the coordinator says, saga by saga.

Theory of operation. Three records of the same steps are kept by processes that share nothing: the
coordinator's log, each participant's fence, and each participant's ledger. The ledger is the truth about
effects, since nothing in it forbids a second entry. Three tables say how the records must agree:

* the end of a saga allows certain ends of its steps;
* the end of a step allows certain states of its fence;
* a state of the fence demands exactly so many effects in the ledger, and so many of them undone.

So a COMPLETED saga has every effect exactly once, and a COMPENSATED one has none that is not undone
exactly once. Beyond that, whatever is in a ledger or a fence must belong to a saga of the log, whatever
was accepted must be in the log and have ended, and every balance is its opening plus its movements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from amends.v1.saga_pb2 import Saga, StepRun
from sample_services.book import Book, Movement

STEPS_OF_SAGA: Final[Mapping[Saga.State.ValueType, frozenset[StepRun.State.ValueType]]] = {
    Saga.COMPLETED: frozenset({StepRun.SUCCEEDED}),
    Saga.COMPENSATED: frozenset({StepRun.COMPENSATED, StepRun.REJECTED, StepRun.SKIPPED}),
}
"""The states of a saga that ended, and the states of its steps that go with each."""

FENCES_OF_STEP: Final[Mapping[StepRun.State.ValueType, frozenset[str | None]]] = {
    StepRun.SUCCEEDED: frozenset({"TRIED"}),
    # The Try had landed; or had not; or had been rejected in a reply that was lost.
    StepRun.COMPENSATED: frozenset({"COMPENSATED", "TOMBSTONE", "REJECTED"}),
    # A call that fails before it gets to its handler, because of its input for example, leaves no row.
    StepRun.REJECTED: frozenset({"REJECTED", None}),
    StepRun.SKIPPED: frozenset({None}),
}
"""The states of a step that ended, and the states of its fence that go with each; None: no row."""

EFFECTS_OF_FENCE: Final[Mapping[str | None, tuple[int, int]]] = {
    "TRIED": (1, 0),
    "COMPENSATED": (1, 1),
    "REJECTED": (0, 0),
    "TOMBSTONE": (0, 0),
    None: (0, 0),
}
"""How many effects each state of a fence demands in the ledger, and how many entries that undo one."""

_Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that does not agree."""

    where: str
    """Whose record is wrong, or differs from the log: a service, or "log"."""
    what: str
    """What is wrong with it, for people."""
    saga: str = ""
    """The saga concerned; empty for a balance."""
    step: str = ""
    """The step concerned; empty for a saga as a whole."""

    def __str__(self) -> str:
        """Says it in one line."""
        return ": ".join(part for part in (self.where, self.saga, self.step, self.what) if part)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an audit came to."""

    completed: int
    """Sagas that are COMPLETED."""
    compensated: int
    """Sagas that are COMPENSATED."""
    findings: tuple[Finding, ...]
    """Everything that does not agree."""

    @property
    def agrees(self) -> bool:
        """Whether all records tell the same story."""
        return not self.findings

    @property
    def lost(self) -> int:
        """How many sagas did not end as they should."""
        return len({finding.saga for finding in self.findings if finding.saga})


def audit(sagas: Iterable[Saga], books: Iterable[Book], *, accepted: Iterable[str] = ()) -> Report:
    """Compares the log with ledgers and fences. Call it when everything has ended.

    Args:
        sagas: every saga, as GetSaga returns it, of definitions without steps free of effect.
        books: what each participant wrote down, one of each that a step names.
        accepted: the ids of sagas whose start was answered, which must therefore be known.
    """
    log = {saga.id: saga for saga in sagas}
    books = tuple(books)
    findings = [
        Finding(where="log", saga=saga_id, what="was accepted, and is not there")
        for saga_id in accepted
        if saga_id not in log
    ]
    findings += _check_sagas(log.values(), books)
    for book in books:
        findings += _check_strangers(log, book)
        findings += check_balances(book)
    states = [saga.state for saga in log.values()]
    return Report(
        completed=states.count(Saga.COMPLETED),
        compensated=states.count(Saga.COMPENSATED),
        findings=tuple(findings),
    )


def _check_sagas(sagas: Iterable[Saga], books: Iterable[Book]) -> Iterator[Finding]:
    shelf = {book.service: (book, by_key(book)) for book in books}
    for saga in sagas:
        allowed = STEPS_OF_SAGA.get(saga.state)
        if allowed is None:
            what = f"has not ended, it is {Saga.State.Name(saga.state)}"
            yield Finding(where="log", saga=saga.id, what=what)
            continue
        participants = {step.name: step.participant for step in saga.definition.steps}
        for run in saga.steps:
            if run.state not in allowed:
                ends = f"{StepRun.State.Name(run.state)} in a saga that is {Saga.State.Name(saga.state)}"
                yield Finding(where="log", saga=saga.id, step=run.step, what=f"is {ends}")
            book, movements = shelf[participants[run.step]]
            key = (saga.id, run.step)
            for what in _check_step(run.state, book.fence.get(key), movements.get(key, [])):
                yield Finding(where=book.service, saga=saga.id, step=run.step, what=what)


def _check_step(
    state: StepRun.State.ValueType, fence: str | None, movements: Sequence[Movement]
) -> Iterator[str]:
    if fence not in FENCES_OF_STEP.get(state, frozenset()):
        yield f"the log says {StepRun.State.Name(state)}, the fence {fence or 'nothing'}"
    yield from check_effects(fence, movements)


def check_effects(fence: str | None, movements: Sequence[Movement]) -> Iterator[str]:
    """Says how the movements of one step differ from what the state of its fence demands."""
    done = [movement for movement in movements if not movement.undoes]
    undone = [movement for movement in movements if movement.undoes]
    found, demanded = (len(done), len(undone)), EFFECTS_OF_FENCE.get(fence)
    if found != demanded:
        yield f"the fence says {fence or 'nothing'}, the ledger has {_counted(*found)}"
    elif undone and (done[0].subject, done[0].amount) != (undone[0].subject, -undone[0].amount):
        effect, undoing = (f"{movement.amount:+} of {movement.subject}" for movement in (done[0], undone[0]))
        yield f"{effect} is undone by {undoing}"


def _check_strangers(log: Mapping[str, Saga], book: Book) -> Iterator[Finding]:
    known = {(saga.id, run.step) for saga in log.values() for run in saga.steps}
    moved = {(movement.saga, movement.step) for movement in book.movements}
    for saga, step in sorted((moved | book.fence.keys()) - known):
        yield Finding(where=book.service, saga=saga, step=step, what="is not in the log")


def check_balances(book: Book) -> Iterator[Finding]:
    """Finds balances that are not what the movements of a ledger make."""
    moved: dict[str, int] = defaultdict(int)
    for movement in book.movements:
        moved[movement.subject] += movement.amount
    for subject, balance in book.balances.items():
        expected = balance.opening + moved.pop(subject, 0)
        if balance.closing != expected or balance.closing < 0:
            what = f"{subject} is {balance.closing}, its movements make {expected}"
            yield Finding(where=book.service, what=what)
    for subject in sorted(moved):
        yield Finding(where=book.service, what=f"{subject} has movements and no balance")


def by_key(book: Book) -> dict[_Key, list[Movement]]:
    """Sorts the movements of a ledger by saga and step."""
    found: dict[_Key, list[Movement]] = defaultdict(list)
    for movement in book.movements:
        found[movement.saga, movement.step].append(movement)
    return found


def _counted(done: int, undone: int) -> str:
    return f"{done} effect{'' if done == 1 else 's'}, {undone} undone"
