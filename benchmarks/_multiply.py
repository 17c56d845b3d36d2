"""Turns the few finished sagas of a store into very many, in a minute instead of an hour."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

CUSTOMERS: Final = 1_000
"""Each saga gets a label with one of so many customers, and each customer's sagas lie all over the file."""

DAYS: Final = 20
"""How long ago the first saga was created; less than the daemon keeps them."""

_TEMPLATES = """
CREATE TEMP TABLE templates AS
SELECT row_number() OVER (ORDER BY key) - 1 AS number, key, definition_name, state FROM sagas
WHERE end_time IS NOT NULL
"""

# Ids in the form of a UUIDv7 with the creation time in front, in milliseconds, as real ones have it.
_SAGAS = """
WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :sagas),
timed AS (SELECT n, :first_time + n * :step AS create_time FROM counted)
INSERT INTO sagas (id, definition_name, state, create_time, end_time, needs_attention, labels)
SELECT
    printf(
        '%08x-%04x-7%03x-8%03x-%012x',
        (create_time / 1000) >> 16, (create_time / 1000) & 0xffff, n & 0xfff, n >> 12, n
    ),
    definition_name, state, create_time, create_time + 20000, '',
    json_object('customer', 'customer-' || (n % :customers))
FROM timed JOIN templates ON number = n / :customers % (SELECT count(*) FROM templates)
ORDER BY n
"""

_EVENTS = """
INSERT INTO events (saga_key, sequence, data)
SELECT sagas.key, events.sequence, events.data
FROM sagas
CROSS JOIN templates ON templates.state = sagas.state
CROSS JOIN events ON events.saga_key = templates.key
WHERE sagas.key > (SELECT max(key) FROM templates)
ORDER BY sagas.key, events.sequence
"""

# They look at every event that is written, which is not needed where it is known to be right.
_TRIGGERS = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'"


def multiply(path: Path, sagas: int) -> None:
    """Adds so many sagas to the store in a file that nobody has open, copies of the finished ones in it."""
    first_time = (int(time.time()) - DAYS * 86_400) * 1_000_000
    values = {
        "sagas": sagas,
        "first_time": first_time,
        "step": DAYS * 86_400 * 1_000_000 // sagas,
        "customers": CUSTOMERS,
    }
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("BEGIN")
        triggers = connection.execute(_TRIGGERS).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(_TEMPLATES)
        connection.execute(_SAGAS, values)
        connection.execute(_EVENTS)
        for _, statement in triggers:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
