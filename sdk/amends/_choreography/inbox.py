"""The inbox: which events have come, and which of them wait.

Everything here runs inside the transaction that deals with the event, in the connection's thread.
"""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from amends._bus.interface import Message
from amends._choreography import queries


class Waiting(NamedTuple):
    """An event that is due again."""

    message: Message
    attempts: int
    """How many failed before."""


class Due(NamedTuple):
    """An event that is to be tried again, without its payload."""

    number: int
    next_at: float
    """When it is to be tried again, in seconds since 1970: another time after each failure."""
    saga_id: str
    subject: str
    traceparent: str


class Inbox:
    """The rows of one consumer."""

    def __init__(self, consumer: str) -> None:
        self.consumer = consumer

    def receive(self, db: sqlite3.Connection, event_id: str, saga_id: str, now: float) -> int | None:
        """Remembers that an event has come; returns the number of its row, or None if it came before.

        Has to be the first statement about an event: who deals with the same one at the same time waits here.
        """
        cursor = db.execute(queries.RECEIVE, (self.consumer, event_id, saga_id, int(now)))
        return cursor.lastrowid if cursor.rowcount else None

    def is_blocked(self, db: sqlite3.Connection, number: int, saga_id: str) -> bool:
        """Tells whether another event of the saga is still in the way."""
        if not saga_id:
            return False
        cursor = db.execute(queries.IS_BLOCKED, (self.consumer, saga_id, number))
        return cursor.fetchone() is not None

    def put_off(
        self,
        db: sqlite3.Connection,
        number: int,
        message: Message,
        attempts: int,
        error: str,
        next_at: float,
        now: float,
    ) -> None:
        """Keeps an event that is to be tried again."""
        self._put_aside(db, number, message, ("WAITING", attempts, error, next_at), now)

    def bury(
        self, db: sqlite3.Connection, number: int, message: Message, attempts: int, error: str, now: float
    ) -> None:
        """Keeps an event that is dead."""
        self._put_aside(db, number, message, ("DEAD", attempts, error, None), now)

    def park(self, db: sqlite3.Connection, number: int, message: Message, now: float) -> None:
        """Keeps an event behind an earlier one of its saga."""
        self._put_aside(db, number, message, ("PARKED", 0, "", None), now)

    def _put_aside(
        self,
        db: sqlite3.Connection,
        number: int,
        message: Message,
        state: tuple[str, int, str, float | None],
        now: float,
    ) -> None:
        headers = json.dumps(dict(message.headers))
        db.execute(queries.PUT_ASIDE, (*state, message.subject, headers, message.data, int(now), number))

    def waiting(self, db: sqlite3.Connection, due: Due) -> Waiting | None:
        """Reads an event that is to be tried again; None if somebody else has done it since it was due."""
        cursor = db.execute(queries.GET_WAITING, (due.number, due.next_at))
        cursor.row_factory = None
        found = cursor.fetchone()
        if found is None:
            return None
        event_id, saga_id, attempts, subject, headers, data = found
        message = Message(
            id=event_id, key=saga_id, subject=subject, headers=json.loads(headers), data=data or b""
        )
        return Waiting(message, attempts)

    def finish(self, db: sqlite3.Connection, number: int, saga_id: str, now: float) -> None:
        """Says that an event which waited is dealt with, and lets the next one of its saga go."""
        db.execute(queries.FINISH, (int(now), number))
        self.unpark(db, saga_id, now)

    def finish_dead(
        self, db: sqlite3.Connection, event_id: str, now: float, *, error: str | None = None
    ) -> bool:
        """Says that a dead event waits no more, and lets the next one of its saga go; tells whether it did.

        Args:
            db: the connection.
            event_id: the event.
            now: the present moment.
            error: what is kept of it in place of the last error; None leaves that.
        """
        cursor = db.execute(queries.FINISH_DEAD, (self.consumer, event_id, int(now), error))
        cursor.row_factory = None
        found = cursor.fetchall()
        for (saga_id,) in found:
            self.unpark(db, saga_id, now)
        return bool(found)

    def resume_dead(self, db: sqlite3.Connection, event_id: str, now: float) -> bool:
        """Has a dead event tried again as if it never was; tells whether there is one."""
        return db.execute(queries.RESUME_DEAD, (self.consumer, event_id, now)).rowcount > 0

    def unpark(self, db: sqlite3.Connection, saga_id: str, now: float) -> None:
        """Lets the oldest parked event of a saga go, if nothing is in its way any more."""
        db.execute(queries.UNPARK, (self.consumer, now, saga_id))

    def due(self, db: sqlite3.Connection, now: float, limit: int) -> list[Due]:
        """Lists events that are to be tried again by now."""
        return _due(db.execute(queries.DUE, (self.consumer, now, limit)))

    def all_waiting(self, db: sqlite3.Connection) -> list[Due]:
        """Lists all events that are to be tried again, whenever."""
        return _due(db.execute(queries.WAITING, (self.consumer,)))

    def next_due(self, db: sqlite3.Connection) -> float | None:
        """Tells when the next event is to be tried again."""
        cursor = db.execute(queries.NEXT_DUE, (self.consumer,))
        cursor.row_factory = None
        moment: float | None = cursor.fetchone()[0]
        return moment

    def census(self, db: sqlite3.Connection) -> dict[str, int]:
        """Counts the events that are not dealt with, by state."""
        cursor = db.execute(queries.COUNT_OPEN, (self.consumer,))
        cursor.row_factory = None
        return dict(cursor.fetchall())


def _due(cursor: sqlite3.Cursor) -> list[Due]:
    cursor.row_factory = None
    return [
        Due(number, next_at, saga_id, subject, json.loads(headers).get("traceparent", ""))
        for number, next_at, saga_id, subject, headers in cursor
    ]
