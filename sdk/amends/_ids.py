"""Ids of sagas: the form every id must have, and UUIDv7 for those who do not choose their own."""

import os
import re
import threading
import time
from collections.abc import Callable

MAX_ID_LENGTH = 128
"""Characters of an id: room for a name, a date and a UUID, and still short enough to index."""

ID_FORM = "1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':', '~' and '-'"
"""The form of ids and names, in words, for messages."""

ID_PATTERN = re.compile(r"[A-Za-z0-9._:~-]{1,128}\Z")
"""The same form as an expression: safe in URLs, file names, logs and shells without quoting."""

_COUNTER_BITS = 12
_RANDOM_BITS = 62
_VERSION = 7
_VARIANT = 0b10


def is_id(text: str) -> bool:
    """Says whether a text has the form of an id: of a saga, a step, a definition or a label's key."""
    return ID_PATTERN.match(text) is not None


class IdSource:
    """Makes UUIDv7 (RFC 9562) that grow in the order they were made, within one process.

    The twelve bits after the time are a counter (section 6.2, method 1), so that sagas started within one
    millisecond still sort as they were started. Safe to call from any thread.
    """

    def __init__(
        self, clock: Callable[[], int] = time.time_ns, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._clock = clock  # nanoseconds since 1970
        self._entropy = entropy  # so many random bytes
        self._lock = threading.Lock()
        self._last = 0  # milliseconds and counter of the last id, as one number

    def __call__(self) -> str:
        """Returns a new id, 36 characters long."""
        random = int.from_bytes(self._entropy(9), "big")
        now = (self._clock() // 1_000_000) << _COUNTER_BITS
        # The counter starts in its lower quarter, so that a full millisecond has room to count. When it runs
        # over, or the clock was set back, the ids borrow from the next millisecond and go on growing.
        fresh = now | (random >> _RANDOM_BITS) & 0x3FF
        with self._lock:
            self._last = fresh if now > self._last else self._last + 1
            stamp = self._last
        time_and_version = (stamp >> _COUNTER_BITS) << 16 | _VERSION << 12 | stamp & 0xFFF
        variant_and_random = _VARIANT << _RANDOM_BITS | random & (1 << _RANDOM_BITS) - 1
        digits = f"{time_and_version:016x}{variant_and_random:016x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


new_saga_id = IdSource()
"""Returns a new UUIDv7, greater than any this process has made before."""
