"""What a handler is told beside its input."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeVar, overload

from google.protobuf import any_pb2

from amends._definition import Step
from amends._payload import unpack
from amends.errors import PayloadError, UsageError

T = TypeVar("T")


class Context:
    """The call that a handler answers.

    Attributes:
        saga_id: identifies the saga.
        step: names the step; unique within its saga.
        attempt: counts the calls of this step in this direction, from 1; for logs only.
        action: names the action.
        definition: names the definition that the saga runs; for logs only.
    """

    __slots__ = ("_db", "_deadline", "_results", "action", "attempt", "definition", "saga_id", "step")

    def __init__(
        self,
        *,
        saga_id: str,
        step: str,
        attempt: int,
        action: str,
        definition: str,
        results: Mapping[str, any_pb2.Any],
        db: Any,
        deadline: float | None,
    ) -> None:
        self.saga_id = saga_id
        self.step = step
        self.attempt = attempt
        self.action = action
        self.definition = definition
        self._results = results
        self._db = db
        self._deadline = deadline

    @property
    def idempotency_key(self) -> str:
        """Names the deed: the same in every attempt, and in the compensation of what it names."""
        return f"{self.saga_id}/{self.step}"

    @property
    def db(self) -> Any:
        """The connection whose transaction the handler is part of.

        An aiosqlite.Connection for an `async def` handler, a sqlite3.Connection for a plain one. The
        transaction belongs to the participant: committing it or rolling it back fails. It must not be used
        after the handler has returned.

        Raises:
            UsageError: there is none: the store is "memory:", or the action is external.
        """
        if self._db is None:
            raise UsageError(
                f"action {self.action!r} has no ctx.db: its store is in memory, or it is external"
            )
        return self._db

    @property
    def remaining(self) -> float | None:
        """The seconds until the caller stops waiting, never below zero; None where it waits for ever."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic())

    @overload
    def result(self, step: Step[Any, T]) -> T: ...
    @overload
    def result(self, step: str, expected: type[T]) -> T: ...
    def result(self, step: str | Step[Any, T], expected: Any = Any) -> Any:
        """Returns what an earlier step brought forth, one that this step needs. Of no use in a compensation.

        A step that knows the type of its result may stand for its name and the type.

        Raises:
            PayloadError: there is no such result, or it is of another type. If the handler lets it pass, the
                call fails with INVALID_ARGUMENT: no retry can help.
        """
        if isinstance(step, Step):
            return self.result(step.name, step.result_type or Any)
        payload = self._results.get(step)
        if payload is None:
            known = ", ".join(sorted(self._results)) or "none"
            raise BadInputError(f"no result of a step {step!r} came with the call; there are: {known}")
        try:
            return unpack(payload, expected)
        except PayloadError as error:
            raise BadInputError(f"the result of step {step!r}: {error}") from error

    def __repr__(self) -> str:
        return f"<Context {self.idempotency_key} action={self.action} attempt={self.attempt}>"


class BadInputError(PayloadError):
    """What came with the call does not fit the handler."""
