"""Looking at a bus without changing it."""

from __future__ import annotations

import sqlite3
from typing import Final

from amends._bus.interface import Message
from amends._bus.sqlite.rows import BYTES_TOGETHER, message_of

PAGE: Final = 500
"""How many messages to read at once: enough that a trip to the thread costs nothing by comparison."""

_READ: Final = """
SELECT sequence, id, key, subject, headers, data FROM messages
WHERE sequence > ? AND published_at >= ? ORDER BY sequence LIMIT ?
"""


def read_page(connection: sqlite3.Connection, after: int, oldest: float) -> list[tuple[int, Message]]:
    """Reads what follows a sequence number and was published at a time or later; not more than is good."""
    page = []
    size = 0
    for columns in connection.execute(_READ, (after, oldest, PAGE)):
        page.append(message_of(columns))
        size += len(page[-1][1].data)
        if size > BYTES_TOGETHER:
            break
    return page
