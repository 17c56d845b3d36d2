"""Why an event could not be dealt with: to be tried again, or dead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NoReturn

from amends._bus.interface import Message
from amends._choreography.cloudevent import reference_of
from amends.errors import Pending, Refused, UsageError
from amends.v1 import choreography_pb2

LETTER_ROOM: Final = 8 * 1024
"""Bytes that a dead letter needs beside the event that it holds: no event of ours may leave less."""

_MESSAGE_LENGTH_MAX: Final = 1_000


class DeferredError(Exception):
    """The event is to be tried again."""

    def __init__(self, error: str, step: str = "", *, after: float | None = None) -> None:
        super().__init__(_sound(error))
        self.step = step
        """The step that failed; empty where that is not known."""
        self.after = after
        """The seconds to wait, where the handler said so; such a wait counts as no failure."""


class DeadError(Exception):
    """No retry can help."""

    def __init__(self, reason: str, message: str, step: str = "") -> None:
        self.reason = reason
        self.message = _sound(message)
        self.step = step
        super().__init__(f"{reason}: {self.message}")


def raise_failure(error: BaseException, step: str) -> NoReturn:
    """Raises what a handler's exception means, where it is no rejection."""
    if isinstance(error, Pending):
        raise DeferredError("the handler has not decided yet", step, after=error.retry_after) from error
    if isinstance(error, Refused):
        raise DeadError("REFUSED", str(error), step) from error
    if isinstance(error, UsageError):
        raise DeadError("EVENT_REFUSED", str(error), step) from error
    # What was raised stays out of what others read: it may quote the payload.
    raise DeferredError(f"handler of step {step!r} raised {type(error).__name__}", step) from error


def dead_letter(
    consumer: str, message: Message, problem: DeferredError | DeadError, attempts: int, now: float
) -> choreography_pb2.DeadLetter:
    """Writes what is said of an event that was given up, with the event."""
    reason, text = "HANDLER_FAILED", f"{problem}, {attempts} times; the log of {consumer} tells how"
    if isinstance(problem, DeadError):
        reason, text = problem.reason, problem.message
    letter = choreography_pb2.DeadLetter(
        consumer=consumer,
        event_id=reference_of(message),
        subject=message.subject,
        reason=reason,
        message=text[:_MESSAGE_LENGTH_MAX],
        attempts=attempts,
        step=problem.step,
        headers={name: _sound(value) for name, value in message.headers.items()},
        data=message.data,
    )
    letter.time.FromDatetime(datetime.fromtimestamp(now, UTC))
    return letter


def _sound(text: str) -> str:
    """The same text as far as it can be written down: a handler may say what is no Unicode."""
    return text.encode(errors="replace").decode()
