"""Everything Amends raises on purpose, as one family.

AmendsError
├── Answer ................. raised by handlers: an outcome of the call, not a failure
│   ├── Rejected ........... a Try will not be done; the saga turns back
│   ├── Pending ............ not decided yet; the coordinator asks again
│   └── Refused ............ a Compensate cannot be done; an operator must act
├── UsageError ............. the code or the data at hand must be mended; a retry cannot help
│   ├── HandlerError ....... a handler is declared in a way that cannot work
│   ├── DefinitionError .... a definition of a saga is malformed
│   └── PayloadError ....... a value does not fit into a payload, or a payload not into a type
├── StartError ............. a server cannot start; whoever runs it must act
│   └── StoreError ......... because of its store: unwritable, corrupt, or newer than this code
├── Fault .................. how a participant fails a call, with the status code it answers
├── NotSettled ............. a saga goes on, and whoever waited for it ran out of time
└── CallError .............. a coordinator failed a call of a client
    ├── RequestError ....... the request must change; a retry cannot help
    │   ├── InvalidArgument
    │   ├── NotFound
    │   ├── AlreadyExists
    │   ├── FailedPrecondition
    │   └── AccessDenied
    └── TransientError ..... the same request may succeed later
        ├── Unavailable
        ├── DeadlineExceeded
        └── Overloaded
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import grpc

REASON_LENGTH_MAX: Final = 63
"""The bound that google.rpc.ErrorInfo sets to a reason, kept everywhere so that one can become the other."""

_REASON = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


class AmendsError(Exception):
    """The root: catches whatever Amends raises on purpose."""


class Answer(AmendsError):  # noqa: N818 - an outcome in the words of the contract
    """Ends a handler with an outcome other than success. Whatever the handler did is rolled back."""


class Rejected(Answer):
    """Raised by an action that will not be done: the saga turns back, and the rejection is remembered.

    Args:
        reason: names the reason for programs, in UPPER_SNAKE_CASE, at most 63 characters.
        message: explains it to people, in one sentence.
        metadata: carries further facts for programs, as strings.

    Raises:
        ValueError: the reason has another form.
        TypeError: the message, or a key or value of the metadata, is no string.
    """

    def __init__(self, reason: str, message: str = "", metadata: Mapping[str, str] | None = None) -> None:
        self.reason = _checked_reason(reason)
        self.message = _checked_text("message", message)
        self.metadata: Mapping[str, str] = {
            _checked_text("key of the metadata", key): _checked_text(f"metadata's {key!r}", value)
            for key, value in (metadata or {}).items()
        }
        super().__init__(f"{reason}: {message}" if message else reason)


class Pending(Answer):
    """Raised by an action or a compensation that is not decided yet; it is called again later.

    Args:
        retry_after: sets the least wait before the next call, in seconds, above zero.

    Raises:
        ValueError: the wait is not above zero.
    """

    def __init__(self, retry_after: float = 1.0) -> None:
        if not 0 < retry_after < float("inf"):
            raise ValueError(f"retry_after must be a number of seconds above zero, not {retry_after}")
        self.retry_after = retry_after
        super().__init__(f"not decided yet, ask again in {retry_after:g} s")


class Refused(Answer):
    """Raised by a compensation that cannot be done: the effect stays, and the saga waits for an operator.

    Args:
        reason: names the reason for programs, in UPPER_SNAKE_CASE, at most 63 characters.
        message: explains it to the operator who has to act.

    Raises:
        ValueError: the reason has another form.
        TypeError: the message is no string.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        self.reason = _checked_reason(reason)
        self.message = _checked_text("message", message)
        super().__init__(f"{reason}: {message}" if message else reason)


class UsageError(AmendsError):
    """Something at hand must be mended by whoever wrote it; the same call fails again."""


class HandlerError(UsageError):
    """A handler is declared in a way that cannot work; the message names handler and parameter."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a definition."""

    description: str
    """What is wrong, as a predicate of the field: "is 0 s, but must be from 0.001 s to 3600 s"."""
    field: str = ""
    """The field, such as "timeout" or "retry.max_attempts"; empty where it is the whole."""
    step: str = ""
    """The step, by name or, without one, by its place as "#2"; empty where it is the definition itself."""
    source: str = ""
    """The file the definition comes from; empty for one made in Python."""
    line: int = 0
    """The line of the file, from 1; 0 where there is none."""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        parts = [
            where,
            f"step {self.step!r}" if self.step else "",
            f"{self.field} {self.description}".strip(),
        ]
        return ": ".join(part for part in parts if part)


class DefinitionError(UsageError):
    """A definition of a saga is malformed; the message has a line per problem.

    Attributes:
        problems: everything that is wrong, in the order of the definition.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class PayloadError(UsageError):
    """A value does not fit into a payload, or a payload does not fit the type asked for.

    The message names types and fields, never values: payloads must not leak into logs.
    """


class StartError(AmendsError):
    """A server cannot start; the message says in one line why, and what to do."""


class StoreError(StartError):
    """The store cannot be used: not writable, corrupt, or written by a newer version."""


class Fault(AmendsError):  # noqa: N818 - names what the call got, as gRPC has it
    """Fails one call of a participant with a gRPC status.

    Attributes:
        code: the status code, which tells the coordinator whether an effect is possible.
        reason: names the cause for programs, in UPPER_SNAKE_CASE.
        message: explains it to people.
        metadata: further facts for programs.
        retry_after: the least wait before the next call, in seconds; None where there is no advice.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.retry_after = retry_after
        super().__init__(f"{code.name} {reason}: {message}")


class NotSettled(AmendsError, TimeoutError):  # noqa: N818 - a state of affairs, not a fault
    """A saga did not settle within the time its waiter had. It goes on; wait for it again by its id.

    Attributes:
        saga_id: identifies the saga.
    """

    def __init__(self, saga_id: str, timeout: float) -> None:
        self.saga_id = saga_id
        super().__init__(f"saga {saga_id} has not settled within {timeout:g} s; wait for it again by its id")


@dataclass(frozen=True, kw_only=True)
class FieldViolation:
    """What is wrong with one field of a request."""

    field: str
    """The path of the field, such as "definition.steps[1].needs"."""
    description: str
    """Why its value is not accepted, for people."""


class CallError(AmendsError):
    """A coordinator failed a call.

    Attributes:
        reason: names the cause for programs, in UPPER_SNAKE_CASE; empty where the server gave none.
        message: explains it to people.
        metadata: further facts for programs.
    """

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        self.message = message
        self.reason = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        super().__init__(f"{message} ({reason})" if reason else message)


class RequestError(CallError):
    """The request cannot succeed as it is."""


class InvalidArgument(RequestError):  # noqa: N818 - named as its status code is
    """The request is malformed.

    Attributes:
        violations: what is wrong, field by field; empty where the server did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
    ) -> None:
        self.violations = tuple(violations)
        super().__init__(message, reason=reason, metadata=metadata)


class NotFound(RequestError):  # noqa: N818 - named as its status code is
    """There is no such saga or definition, or none any more."""


class AlreadyExists(RequestError):  # noqa: N818 - named as its status code is
    """The id is taken by a saga with other content."""


class FailedPrecondition(RequestError):  # noqa: N818 - named as its status code is
    """The saga or step is in a state that does not allow this."""


class AccessDenied(RequestError):  # noqa: N818 - named as its status code is
    """The server does not know the caller, or does not let the caller do this."""


class TransientError(CallError):
    """The same request may succeed later.

    Attributes:
        retry_after: the least wait before trying again, in seconds; None where there is no advice.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, reason=reason, metadata=metadata)


class Unavailable(TransientError):  # noqa: N818 - named as its status code is
    """The coordinator cannot be reached, or cannot write its log."""


class DeadlineExceeded(TransientError):  # noqa: N818 - named as its status code is
    """The answer did not come in time; the request may have taken effect."""


class Overloaded(TransientError):  # noqa: N818 - named as its status code is
    """The coordinator is full and took nothing on."""


def _checked_reason(reason: str) -> str:
    if len(reason) > REASON_LENGTH_MAX or not _REASON.fullmatch(reason):
        raise ValueError(
            f"a reason is UPPER_SNAKE_CASE of at most {REASON_LENGTH_MAX} characters, not {reason!r}"
        )
    return reason


def _checked_text(what: str, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a {what} is a str, not a {type(text).__name__}")
    return text
