"""What a reaction is told beside its event, and what it can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amends.errors import UsageError


class EventContext:
    """The event that a handler answers.

    Attributes:
        saga_id: identifies the saga.
        step: names the reaction, which is the step of the saga.
        attempt: counts how often this event has been tried here, from 1; for logs only.
        trigger: the event that made the handler run. For a compensation it is the failure, while the first
            parameter is the event that the reaction itself reacted to; None for an entry.
        event_id: identifies the trigger, as its source and id with a slash between; empty for an entry.
    """

    __slots__ = ("_db", "_emit", "attempt", "event_id", "saga_id", "step", "trigger")

    def __init__(
        self,
        *,
        saga_id: str,
        step: str,
        attempt: int,
        trigger: Any,
        event_id: str,
        db: Any,
        emit: Callable[[Any], None],
    ) -> None:
        self.saga_id = saga_id
        self.step = step
        self.attempt = attempt
        self.trigger = trigger
        self.event_id = event_id
        self._db = db
        self._emit = emit

    @property
    def idempotency_key(self) -> str:
        """Names the deed: the same in every attempt, and in the compensation of what it names."""
        return f"{self.saga_id}/{self.step}"

    @property
    def db(self) -> Any:
        """The connection whose transaction the handler is part of.

        An aiosqlite.Connection for an `async def` handler, a sqlite3.Connection for a plain one. The
        transaction belongs to the service: committing it or rolling it back fails. It must not be used after
        the handler has returned.
        """
        if self._db is None:
            raise UsageError(f"handler {self.step!r} was called by itself, and has no database")
        return self._db

    def emit(self, event: Any) -> None:
        """Puts an event into the outbox, in the same transaction as everything else that the handler does.

        Args:
            event: of a type that the reaction declares, by its annotation or by `emits`.

        Raises:
            HandlerError: the reaction does not declare its type.
            PayloadError: it cannot be said in protobuf or JSON, or is larger than the bus takes.
        """
        self._emit(event)

    def __repr__(self) -> str:
        return f"<EventContext {self.idempotency_key} attempt={self.attempt}>"
