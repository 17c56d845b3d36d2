"""What is remembered of sagas that are not in memory: which have just left it, and which may be unowned."""

from collections.abc import Iterator
from contextlib import contextmanager

MAX_DOUBTFUL = 10_000
"""Ids kept of starts that failed in the store: they are looked up one by one once it can be read."""


class Absent:
    """Remembers sagas that are not in memory."""

    def __init__(self) -> None:
        """Remembers none."""
        self._readers: dict[int, set[str]] = {}  # by identity: equal sets of two readers are not one
        self._doubtful: dict[str, None] = {}  # in the order in which they failed

    def note_departure(self, saga_id: str) -> None:
        """Notes a saga that has left memory."""
        for departed in self._readers.values():
            departed.add(saga_id)

    @contextmanager
    def departures(self) -> Iterator[set[str]]:
        """Collects the ids of sagas that leave memory meanwhile.

        What is read of one of them from the store is out of date: to adopt it would bring an earlier state
        of it back to life.
        """
        departed: set[str] = set()
        self._readers[id(departed)] = departed
        try:
            yield departed
        finally:
            del self._readers[id(departed)]

    def doubt(self, saga_id: str) -> None:
        """Notes an id whose start failed in the store, which may hold a saga of it that nobody drives.

        Where an outage leaves more of them than are kept, the next start of the coordinator finds the rest.
        """
        if len(self._doubtful) < MAX_DOUBTFUL:
            self._doubtful[saga_id] = None

    def doubt_no_more(self, saga_id: str) -> None:
        """Takes an id back: it was looked up, or its saga is in memory."""
        self._doubtful.pop(saga_id, None)

    def take_doubtful(self) -> str | None:
        """Hands over one such id, to be looked up once the store can be read; None if there is none."""
        saga_id = next(iter(self._doubtful), None)
        if saga_id is not None:
            del self._doubtful[saga_id]
        return saga_id
