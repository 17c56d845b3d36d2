"""How calls fail: the faults a participant answers with, and how each travels as a gRPC status.

The code decides what the coordinator believes. A definite one (INVALID_ARGUMENT, UNIMPLEMENTED) says that
nothing happened and nothing will; every other one says that it may have, and to ask again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from amends.errors import Fault

DOMAIN: Final = "amends"

_STORE_FAILURES: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
    }
)

_TRANSACTION_LOST: Final = "TRANSACTION_LOST"

BUSY_RETRY_AFTER_S: Final = 1.0
"""How long to stay away from a participant that is full, or from a key that is being worked on."""


def invalid(field: str, description: str) -> Fault:
    """A field of the request is malformed."""
    return Fault(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        f"{field}: {description}",
        metadata={"field": field},
    )


def invalid_input(description: str) -> Fault:
    """The payload does not fit the action."""
    return Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", f"input: {description}")


def key_reused(saga_id: str, step: str) -> Fault:
    """The key names another deed."""
    return Fault(
        grpc.StatusCode.INVALID_ARGUMENT,
        "KEY_REUSED",
        f"step {step!r} of saga {saga_id!r} was tried with another action or input",
    )


def unknown_action(action: str, known: Iterable[str]) -> Fault:
    """The participant offers no such action."""
    names = ", ".join(sorted(known))
    return Fault(
        grpc.StatusCode.UNIMPLEMENTED,
        "UNKNOWN_ACTION",
        f"there is no action {action!r}; there are: {names or 'none'}",
        metadata={"action": action, "known_actions": names},
    )


def deadline_passed() -> Fault:
    """Nobody waits for the answer any more."""
    return Fault(
        grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED", "the deadline passed before the handler ended"
    )


def handler_failed() -> Fault:
    """The handler raised. What it raised stays in the log: it may quote the payload."""
    return Fault(
        grpc.StatusCode.INTERNAL, "HANDLER_FAILED", "the handler failed; the participant's log tells how"
    )


def transaction_lost() -> Fault:
    """The handler ended the transaction, or left it so that it could not be committed."""
    return Fault(
        grpc.StatusCode.INTERNAL,
        _TRANSACTION_LOST,
        "the handler's work could not be committed; the participant's log tells why",
    )


def internal() -> Fault:
    """Something failed that should not have."""
    return Fault(grpc.StatusCode.INTERNAL, "INTERNAL", "the participant failed; its log tells how")


def in_progress() -> Fault:
    """An earlier call for the same key is still at work outside the database."""
    return Fault(
        grpc.StatusCode.UNAVAILABLE,
        "IN_PROGRESS",
        "an earlier call of this step is still under way",
        retry_after=BUSY_RETRY_AFTER_S,
    )


def overloaded() -> Fault:
    """More calls wait than are let in."""
    return Fault(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "OVERLOADED",
        "too many calls wait already",
        retry_after=BUSY_RETRY_AFTER_S,
    )


def stopping() -> Fault:
    """The participant takes no more calls."""
    return Fault(grpc.StatusCode.UNAVAILABLE, "STOPPING", "the participant is shutting down")


def store_failed(error: Exception) -> Fault:
    """The database could not be read or written; nothing of the call is stored."""
    if getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL"):
        return Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL", "the participant's disk is full")
    return Fault(
        grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "the participant's database cannot be written"
    )


def blames_store(error: BaseException) -> bool:
    """Tells whether what a handler raised is no doing of its own: the disk failed."""
    return (
        isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _STORE_FAILURES
    )


def to_status(fault: Fault) -> status_pb2.Status:
    """Says a fault as the status of an RPC."""
    number: int = fault.code.value[0]
    status = status_pb2.Status(code=number, message=fault.message)
    info = error_details_pb2.ErrorInfo(reason=fault.reason, domain=DOMAIN, metadata=fault.metadata)
    status.details.append(_packed(info))
    if fault.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(fault.retry_after * 1e9))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


def _packed(detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
