"""The outbox: events that are to be published, in the order in which they were committed.

Whoever publishes selects what is unsent, and never "everything after the last": where several transactions
commit at once, a number can come to be visible after a greater one.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from amends._bus.interface import Message, Receipt
from amends._choreography import queries

PARTITIONS: Final = 8
"""Parts that relays share the outbox by: more than there are ever relays on one database."""


class Unsent(NamedTuple):
    """A row that waits to be published."""

    number: int
    message: Message
    attempts: int


class Backlog(NamedTuple):
    """How far publishing is behind."""

    unsent: int
    oldest: float | None
    """When the oldest was put in, in seconds since 1970; None where there is none."""
    dead: int
    """How many of them were given up."""


def partition_of(saga_id: str) -> int:
    """The part of the outbox that a saga's events are in."""
    return zlib.crc32(saga_id.encode()) % PARTITIONS


def enqueue(db: sqlite3.Connection, messages: Iterable[Message], now: float) -> None:
    """Puts events in."""
    db.executemany(
        queries.ENQUEUE,
        [
            (
                message.id,
                message.key,
                partition_of(message.key),
                message.subject,
                json.dumps(dict(message.headers)),
                message.data,
                now,
            )
            for message in messages
        ],
    )


def unsent(db: sqlite3.Connection, partitions: Collection[int], now: float, limit: int) -> list[Unsent]:
    """Reads what may be published now, in order."""
    cursor = db.execute(queries.UNSENT, (json.dumps(list(partitions)), now, limit))
    cursor.row_factory = None
    return [
        Unsent(
            number,
            Message(id=event_id, key=saga_id, subject=subject, headers=json.loads(headers), data=data),
            attempts,
        )
        for number, event_id, saga_id, subject, headers, data, attempts in cursor
    ]


def last_number(db: sqlite3.Connection) -> int:
    """The number of the row that was put in last; 0 for none."""
    cursor = db.execute(queries.LAST)
    cursor.row_factory = None
    found: int = cursor.fetchone()[0]
    return found


def since(db: sqlite3.Connection, number: int) -> list[Message]:
    """Reads what was put in after a row."""
    cursor = db.execute(queries.SINCE, (number,))
    cursor.row_factory = None
    return [
        Message(id=event_id, key=saga_id, subject=subject, headers=json.loads(headers), data=data)
        for event_id, saga_id, subject, headers, data in cursor
    ]


def mark_sent(db: sqlite3.Connection, sent: Sequence[tuple[int, Receipt]], now: float) -> None:
    """Remembers what the bus has."""
    rows = [(now, receipt.stream, receipt.sequence, number) for number, receipt in sent]
    db.executemany(queries.MARK_SENT, rows)


def mark_refused(
    db: sqlite3.Connection, number: int, error: str, *, not_before: float, dead_at: float | None
) -> None:
    """Remembers that the bus would not take a row: to be tried again, or given up."""
    db.execute(queries.MARK_REFUSED, (error, not_before, dead_at, number))


def backlog(db: sqlite3.Connection) -> Backlog:
    """Counts what is not published."""
    cursor = db.execute(queries.BACKLOG)
    cursor.row_factory = None
    return Backlog(*cursor.fetchone())
