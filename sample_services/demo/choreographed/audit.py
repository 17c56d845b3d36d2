"""Compares what four services wrote down with each other and with what was accepted, saga by saga.

Theory of operation. Nobody has the log of a choreographed saga. But each service's fence says how its steps
ended, and for a saga that has ended there are few ways in which the fences of all of them fit together: one
in which it completed, and one for each service that may refuse. Any other combination is a saga that was
lost halfway. What each state of a fence demands of a ledger is the same as with a coordinator, and so is the
rest: what is in a ledger or a fence belongs to an order that was accepted, and every balance is its opening
plus its movements. When all is over, no event waits in an outbox or an inbox.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from sample_services.book import Book
from sample_services.demo.audit import Finding, Report, by_key, check_balances, check_effects
from sample_services.demo.choreographed.post import Post

STEPS: Final[Sequence[tuple[str, str]]] = (
    ("orders", "place"),
    ("inventory", "reserve"),
    ("payments", "charge"),
    ("shipping", "ship"),
    ("orders", "complete"),
)
"""Who does what for an order, in its order."""

COMPLETED: Final = "COMPLETED"
COMPENSATED: Final = "COMPENSATED"

Fences = tuple[str | None, ...]
"""The states of a saga's fences, in the order of STEPS; None: no row."""

ENDS: Final[Mapping[Fences, str]] = {
    ("TRIED", "TRIED", "TRIED", "TRIED", "TRIED"): COMPLETED,
    ("COMPENSATED", "REJECTED", None, None, None): COMPENSATED,
    ("COMPENSATED", "COMPENSATED", "REJECTED", None, None): COMPENSATED,
    ("COMPENSATED", "COMPENSATED", "COMPENSATED", "REJECTED", None): COMPENSATED,
}
"""Every way in which the fences of a saga that has ended fit together, and which end that is.

There is no tombstone among them: each failure follows from the very effects that it has undone, so that it
cannot overtake them.
"""


def ends_of(sagas: Iterable[str], books: Iterable[Book]) -> dict[str, str | None]:
    """How each saga has ended; None for one that has not, or not as it should."""
    shelf = {book.service: book for book in books}
    return {saga: ENDS.get(_fences(saga, shelf)) for saga in sagas}


def audit(
    accepted: Collection[str],
    books: Sequence[Book],
    posts: Iterable[Post],
    *,
    onlooker: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """Compares everything. Call it when everything has ended.

    Args:
        accepted: the ids of all orders that the door has answered.
        books: what each service wrote down.
        posts: what each has in its outbox and its inbox.
        onlooker: the state of each saga in the words of somebody who only listens; empty if there is none.
    """
    known = set(accepted)
    ends = ends_of(known, books)
    findings = [
        *_check_ends(ends, books),
        *(finding for book in books for finding in _check_book(book, known)),
        *(finding for post in posts for finding in _check_post(post)),
        *_check_onlooker(ends, onlooker),
    ]
    states = list(ends.values())
    return Report(
        completed=states.count(COMPLETED),
        compensated=states.count(COMPENSATED),
        findings=tuple(findings),
    )


def _check_ends(ends: Mapping[str, str | None], books: Iterable[Book]) -> Iterator[Finding]:
    shelf = {book.service: book for book in books}
    for saga in sorted(saga for saga, end in ends.items() if end is None):
        fences = _fences(saga, shelf)
        told = ", ".join(f"{step} {state or '-'}" for (_, step), state in zip(STEPS, fences, strict=True))
        yield Finding(where="fences", saga=saga, what=f"was accepted, and has come to no end: {told}")


def _check_book(book: Book, known: Collection[str]) -> Iterator[Finding]:
    movements = by_key(book)
    steps = {step for service, step in STEPS if service == book.service}
    for saga, step in sorted(book.fence.keys() | movements.keys()):
        if saga not in known or step not in steps:
            yield Finding(where=book.service, saga=saga, step=step, what="is of no order that was accepted")
        for what in check_effects(book.fence.get((saga, step)), movements.get((saga, step), [])):
            yield Finding(where=book.service, saga=saga, step=step, what=what)
    yield from check_balances(book)


def _check_post(post: Post) -> Iterator[Finding]:
    for posted in post.posted:
        if not posted.sent:
            what = f"{posted.type} is in the outbox, and not on the bus"
            yield Finding(where=post.service, saga=posted.saga, step=posted.step, what=what)
    for waiting in post.waiting:
        what = f"an event in the inbox is {waiting.state} {waiting.error}".rstrip()
        yield Finding(where=post.service, saga=waiting.saga, what=what)


def _check_onlooker(ends: Mapping[str, str | None], told: Mapping[str, str]) -> Iterator[Finding]:
    for saga, end in sorted(ends.items()) if told else ():
        if end is not None and told.get(saga) != end:
            what = f"says {told.get(saga, 'nothing')}, the fences {end}"
            yield Finding(where="onlooker", saga=saga, what=what)


def _fences(saga: str, shelf: Mapping[str, Book]) -> Fences:
    return tuple(shelf[service].fence.get((saga, step)) for service, step in STEPS)
