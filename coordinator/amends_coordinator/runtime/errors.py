"""What a request to the runtime can fail with, split by who must act.

RequestError
├── InvalidRequestError     the caller: the request is malformed
├── NotFoundError           the caller: there is no such thing
├── AlreadyExistsError      the caller: the id stands for something else
├── NotAllowedError         the caller: the saga's state does not permit it
├── OverloadedError         the caller, later: there is no room now
└── UnavailableError        the operator: the store cannot be written, or the coordinator is stopping
"""

from collections.abc import Sequence

from amends_coordinator.core.checks import Violation


class RequestError(Exception):
    """The root; ``reason`` is stable and for programs, the message is for people."""

    reason = "UNSPECIFIED"


class InvalidRequestError(RequestError):
    """A malformed request: says of each field what is wrong with it."""

    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{each.field} {each.description}" for each in violations))
        self.violations = tuple(violations)

    def within(self, field: str) -> "InvalidRequestError":
        """The same, for a message that holds what was read in a field."""
        return InvalidRequestError(
            [Violation(f"{field}.{each.field}", each.description) for each in self.violations]
        )


class NotFoundError(RequestError):
    """There is no saga, definition or version of this name."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AlreadyExistsError(RequestError):
    """The id belongs to a saga that was started with other content. Nothing has changed (P10)."""

    reason = "SAGA_EXISTS_WITH_OTHER_CONTENT"

    def __init__(self, saga_id: str, difference: str) -> None:
        super().__init__(
            f"saga {saga_id!r} was started with another {difference}; choose a new id for a new saga"
        )


class NotAllowedError(RequestError):
    """The saga's state does not permit this."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OverloadedError(RequestError):
    """There is no room for another saga now."""

    def __init__(self, reason: str, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after  # seconds


class UnavailableError(RequestError):
    """The coordinator cannot do this at the moment."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LostError(UnavailableError):
    """Somebody else writes the saga, or has written it before."""

    def __init__(self, saga_id: str) -> None:
        super().__init__("SAGA_NOT_OWNED", f"saga {saga_id!r} is owned by another coordinator; try again")


class ExistsInStoreError(RequestError):
    """A start repeats the id of a saga that is not in memory; never leaves the runtime."""


def store_unavailable(why: str) -> UnavailableError:
    """What to tell those whose request would have had to be written."""
    return UnavailableError("STORE_UNAVAILABLE", f"the store cannot be written: {why}; nothing was changed")
