"""The hot path: writing a batch of appends.

A batch is one statement, and so one transaction, one fsync, and one wait for the interpreter lock, which a
busy event loop may hold for milliseconds each time it is let go (the view ``batches`` in the schema takes it
apart). What can be prepared is prepared in the event loop, so that the thread has nothing to do but that.

Conflicts are rare: a batch that meets one is undone whole and written again, append by append.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amends_coordinator.contract.facts import encode_fact
from amends_coordinator.store import queries
from amends_coordinator.store.faults import is_conflict
from amends_coordinator.store.interface import Append, ConflictError
from amends_coordinator.store.lane import in_transaction
from amends_coordinator.store.rows import row_to_json

Parameters = dict[str, str | bytes]
"""What the statement takes."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An append, ready to be written."""

    saga_id: str
    first_sequence: int
    payloads: list[bytes]
    row: list[Any] | None


def encode(append: Append) -> Encoded:
    """Turns facts into bytes."""
    assert append.facts, "a row changes only together with facts, which carry the fence"
    assert append.row is not None or append.first_sequence > 1, "a new saga has a row"
    return Encoded(
        append.saga_id,
        append.first_sequence,
        [encode_fact(fact, append.time) for fact in append.facts],
        None if append.row is None else row_to_json(append.row),
    )


def parameters(batch: Sequence[Encoded]) -> Parameters:
    """Gathers rows, places of events, and payloads."""
    rows, places, payloads = [], [], []
    offset = 1  # SQL counts from one
    for append in batch:
        if append.row is not None:
            rows.append(append.row)
        for sequence, payload in enumerate(append.payloads, start=append.first_sequence):
            places.append((append.saga_id, sequence, offset, len(payload)))
            payloads.append(payload)
            offset += len(payload)
    return {"sagas": _json(rows), "events": _json(places), "payloads": b"".join(payloads)}


def write(
    connection: sqlite3.Connection, batch: Sequence[Encoded], together: Parameters
) -> list[ConflictError | None]:
    """Writes a batch, whose parameters are given too; durable when this returns."""
    try:
        connection.execute(queries.APPEND_BATCH, together)
    except sqlite3.IntegrityError as error:
        if not is_conflict(error):
            raise
        return in_transaction(connection, _write_singly, batch)
    return [None] * len(batch)


def probe(connection: sqlite3.Connection) -> None:
    """Writes the version of the schema over itself, which takes a page of the log like any other change."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")


def _write_singly(connection: sqlite3.Connection, batch: Sequence[Encoded]) -> list[ConflictError | None]:
    lost: set[str] = set()
    conflicts = []
    for append in batch:
        # What follows a conflict was decided without knowing of it, and must not be written even where the
        # other writer's facts have made room for it.
        fenced = append.saga_id in lost
        conflict = _conflict(append) if fenced else _write_one(connection, append)
        if conflict is not None:
            lost.add(append.saga_id)
        conflicts.append(conflict)
    return conflicts


def _write_one(connection: sqlite3.Connection, append: Encoded) -> ConflictError | None:
    """Writes one append. SQLite undoes a statement that fails, and only it."""
    try:
        connection.execute(queries.APPEND_BATCH, parameters([append]))
    except sqlite3.IntegrityError as error:
        if not is_conflict(error):
            raise
        return _conflict(append)
    return None


def _conflict(append: Encoded) -> ConflictError:
    return ConflictError(append.saga_id, append.first_sequence)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
