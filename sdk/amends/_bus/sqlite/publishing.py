"""Putting messages into the log.

What can be prepared is prepared in the event loop, and a batch is one statement. Around every statement
Python gives up its interpreter lock, and a busy event loop may take milliseconds to hand it back.
"""

from __future__ import annotations

import itertools
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
SELECT
    CAST(substr(:bytes, value ->> 0, value ->> 1 - value ->> 0) AS TEXT),
    CAST(substr(:bytes, value ->> 1, value ->> 2 - value ->> 1) AS TEXT),
    CAST(substr(:bytes, value ->> 2, value ->> 3 - value ->> 2) AS TEXT),
    CAST(substr(:bytes, value ->> 3, value ->> 4 - value ->> 3) AS TEXT),
    substr(:bytes, value ->> 4, value ->> 5 - value ->> 4),
    :now
FROM json_each(:places) WHERE true ORDER BY key
ON CONFLICT (id) DO NOTHING
"""

_FIND: Final = """
SELECT id, sequence FROM messages WHERE id IN (
    SELECT CAST(substr(:bytes, value ->> 0, value ->> 1 - value ->> 0) AS TEXT) FROM json_each(:places)
)
"""

_BELLS: Final = """
SELECT bell FROM owners WHERE consumer IN (
    SELECT consumer FROM subjects
    WHERE left_after IS NULL AND subject IN (SELECT value FROM json_each(:subjects))
)
"""

Refusals = dict[int, MessageRefusedError | BusUnavailableError]
"""Why messages are not taken, by their place among those to be published."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages, ready to be written."""

    ids: list[str]
    subjects: str
    """As a JSON array."""
    bytes: bytes
    """All messages in a row, each as its id, key, subject, headers and data."""
    places: str
    """As JSON, for each message: where these five begin in the bytes, from 1, and where the last ends."""


def encode(messages: Sequence[Message]) -> tuple[Batch, Refusals]:
    """Gathers what can be published, and says why the rest cannot."""
    ids, parts, places = [], [], []
    refusals: Refusals = {}
    held_up: set[str] = set()
    offset = 1
    for index, message in enumerate(messages):
        refusal = _refusal(message, message.key in held_up)
        if refusal is not None:
            refusals[index] = refusal
            held_up.add(message.key)
            continue
        headers = json.dumps(dict(message.headers), separators=(",", ":"))
        fields = [text.encode() for text in (message.id, message.key, message.subject, headers)]
        fields.append(message.data)
        ends = list(itertools.accumulate(map(len, fields), initial=offset))
        ids.append(message.id)
        parts += fields
        places.append(ends)
        offset = ends[-1]
    subjects = {message.subject for message in messages}
    return Batch(ids, json.dumps(sorted(subjects)), b"".join(parts), json.dumps(places)), refusals


def put(connection: sqlite3.Connection, batch: Batch, now: float) -> list[tuple[int, bool]]:
    """Writes a batch; durable when this returns. Gives each message's sequence, and whether it was there."""
    written = connection.execute(_PUT, {"bytes": batch.bytes, "places": batch.places, "now": now})
    if written.rowcount == len(batch.ids):
        last = written.lastrowid
        assert last is not None
        return [(sequence, False) for sequence in range(last - written.rowcount + 1, last + 1)]
    return _place(connection, batch, written.rowcount)


def bells_of(connection: sqlite3.Connection, batch: Batch) -> list[str]:
    """Finds whom a batch is to wake."""
    return [bell for (bell,) in connection.execute(_BELLS, {"subjects": batch.subjects})]


def _place(connection: sqlite3.Connection, batch: Batch, written: int) -> list[tuple[int, bool]]:
    """Tells what has just been written from what was there: the newest places are those just taken."""
    sequences = dict(connection.execute(_FIND, {"bytes": batch.bytes, "places": batch.places}).fetchall())
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
    try:
        f"{message.id}{message.key}{message.subject}".encode()
    except UnicodeEncodeError:
        return MessageRefusedError(f"the message {message.id!r} has an id, key or subject that is no Unicode")
    size = _size_of(message)
    if size > BYTES_MAX:
        return MessageRefusedError(
            f"the message {message.id} has {size} bytes of headers and data, and the bus takes {BYTES_MAX}"
        )
    return None


def _size_of(message: Message) -> int:
    return len(message.data) + sum(len(name) + len(value) for name, value in message.headers.items())
