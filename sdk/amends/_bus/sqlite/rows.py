"""The log of messages as it comes out of the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from amends._bus.interface import Message

BYTES_TOGETHER: Final = 8 * 1024 * 1024
"""How many bytes of data to read before no more are added: a few of the largest messages, and more small ones
than anybody asks for at once."""

END: Final = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0)"
"""Finds the last sequence number that was given, to a message that may have been removed since."""


def message_of(columns: Sequence[Any]) -> tuple[int, Message]:
    """Makes a message of sequence, id, key, subject, headers and data."""
    sequence, message_id, key, subject, headers, data = columns
    message = Message(id=message_id, key=key, subject=subject, headers=json.loads(headers), data=data)
    return sequence, message
