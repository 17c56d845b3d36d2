"""Putting messages into the log.

What can be prepared is prepared in the event loop, and a batch is one statement. Around every statement
Python gives up its interpreter lock, and a busy event loop may take milliseconds to hand it back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from amends._bus.interface import BusUnavailableError, Message, MessageRefusedError

BYTES_MAX: Final = 1024 * 1024
"""The most that headers and data of one message may take together: what a NATS server takes by default, so
that a service can change its bus. Events tell what happened; documents belong elsewhere."""

_PUT: Final = """
INSERT INTO messages (id, key, subject, headers, data, published_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, substr(:data, value ->> 4, value ->> 5), :now
FROM json_each(:places) WHERE true ORDER BY key
ON CONFLICT (id) DO NOTHING
"""

_FIND: Final = "SELECT id, sequence FROM messages WHERE id IN (SELECT value ->> 0 FROM json_each(:places))"

_BELLS: Final = """
SELECT bell FROM owners WHERE consumer IS NULL OR consumer IN (
    SELECT consumer FROM subjects
    WHERE left_after IS NULL AND subject IN (SELECT value ->> 2 FROM json_each(:places))
)
"""

Refusals = dict[int, MessageRefusedError | BusUnavailableError]
"""Why messages are not taken, by their place among those to be published."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages, ready to be written."""

    ids: list[str]
    places: str
    """As JSON, for each: id, key, subject, headers, and where its data begins, from 1, and how long it is."""
    data: bytes


def encode(messages: Sequence[Message]) -> tuple[Batch, Refusals]:
    """Gathers what can be published, and says why the rest cannot."""
    ids, places, data = [], [], []
    refusals: Refusals = {}
    held_up: set[str] = set()
    offset = 1
    for index, message in enumerate(messages):
        headers = json.dumps(dict(message.headers), separators=(",", ":"))
        refusal = _refusal(message, message.key in held_up)
        if refusal is not None:
            refusals[index] = refusal
            held_up.add(message.key)
            continue
        ids.append(message.id)
        places.append((message.id, message.key, message.subject, headers, offset, len(message.data)))
        data.append(message.data)
        offset += len(message.data)
    return Batch(ids, json.dumps(places, separators=(",", ":")), b"".join(data)), refusals


def put(connection: sqlite3.Connection, batch: Batch, now: float) -> list[tuple[int, bool]]:
    """Writes a batch; durable when this returns. Gives each message's sequence, and whether it was there."""
    written = connection.execute(_PUT, {"places": batch.places, "data": batch.data, "now": now})
    if written.rowcount == len(batch.ids):
        last = written.lastrowid
        assert last is not None
        return [(sequence, False) for sequence in range(last - written.rowcount + 1, last + 1)]
    return _place(connection, batch, written.rowcount)


def bells_of(connection: sqlite3.Connection, batch: Batch) -> list[str]:
    """Finds whom a batch is to wake."""
    return [bell for (bell,) in connection.execute(_BELLS, {"places": batch.places})]


def _place(connection: sqlite3.Connection, batch: Batch, written: int) -> list[tuple[int, bool]]:
    """Tells what has just been written from what was there: the newest places are those just taken."""
    sequences = dict(connection.execute(_FIND, {"places": batch.places}).fetchall())
    fresh = set(sorted(sequences.values())[len(sequences) - written :])
    placed = []
    for message_id in batch.ids:
        sequence = sequences[message_id]
        placed.append((sequence, sequence not in fresh))
        fresh.discard(sequence)  # the same id once more in one batch is a repetition
    return placed


def _refusal(message: Message, held_up: bool) -> MessageRefusedError | BusUnavailableError | None:
    if held_up:
        return BusUnavailableError(f"an earlier message of the key {message.key!r} was not taken")
    size = size_of(message)
    if size > BYTES_MAX:
        return MessageRefusedError(
            f"the message {message.id} has {size} bytes of headers and data, and the bus takes {BYTES_MAX}"
        )
    return None


def size_of(message: Message) -> int:
    """How many bytes headers and data of a message take together."""
    return len(message.data) + sum(len(name) + len(value) for name, value in message.headers.items())
