"""What a service has in its outbox, and what waits in its inbox: a saga as those tell it who act.

Nobody writes the story of a choreographed saga down in one place. Each service keeps its own part of it, in
the events that it has put into its outbox in the same transactions as its effects.
"""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote


@dataclass(frozen=True, kw_only=True)
class Posted:
    """An event in an outbox."""

    service: str
    """Whose."""
    number: int
    """Its place there."""
    saga: str
    """The saga that it belongs to."""
    step: str
    """The step whose end it tells."""
    outcome: str
    """How that step ended."""
    type: str
    """The full name of its type."""
    time: float
    """When it was put there, in seconds since 1970."""
    sent: bool
    """Whether the bus has it."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An event in an inbox that is not dealt with."""

    saga: str
    """The saga that it belongs to."""
    state: str
    """Whether it is tried again, waits behind another one, or is dead."""
    error: str
    """What was wrong the last time."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """The outbox of a service, and what waits in its inbox."""

    service: str
    """Its name."""
    posted: tuple[Posted, ...]
    """All events in its outbox, in their order."""
    waiting: tuple[Waiting, ...]
    """All that are not dealt with."""


def read_post(service: str, path: Path) -> Post:
    """Reads the file of a service that may be running, in one consistent look."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        posted = db.execute(
            "SELECT number, saga_id, headers, created_at, sent_at IS NOT NULL "
            "FROM amends_outbox ORDER BY number"
        ).fetchall()
        waiting = db.execute(
            "SELECT saga_id, state, error FROM amends_inbox WHERE state <> 'DONE'"
        ).fetchall()
    return Post(
        service=service,
        posted=tuple(_posted(service, *row) for row in posted),
        waiting=tuple(Waiting(saga=saga, state=state, error=error) for saga, state, error in waiting),
    )


def told_of(saga_id: str, posts: Iterable[Post]) -> list[Posted]:
    """All events of one saga, in the order of the moments at which they were put into outboxes."""
    found = [posted for post in posts for posted in post.posted if posted.saga == saga_id]
    return sorted(found, key=lambda posted: (posted.time, posted.number))


def _posted(service: str, number: int, saga: str, headers: str, time: float, sent: int) -> Posted:
    attributes = json.loads(headers)

    def attribute(name: str) -> str:
        return unquote(attributes.get(f"ce-{name}", ""))

    return Posted(
        service=service,
        number=number,
        saga=saga,
        step=attribute("sagastep"),
        outcome=attribute("sagaoutcome"),
        type=attribute("type"),
        time=time,
        sent=bool(sent),
    )
