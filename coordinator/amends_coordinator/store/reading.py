"""Reading logs, and keeping track of sagas that sleep."""

import json
import logging
import sqlite3
from collections.abc import Iterable
from itertools import islice

from amends_coordinator.contract.facts import decode_event
from amends_coordinator.core.facts import Event
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.store import queries
from amends_coordinator.store.interface import Census
from amends_coordinator.store.rows import from_microseconds, to_microseconds

log = logging.getLogger(__name__)

Logs = list[tuple[str, list[Event]]]

UNFINISHED = [state for state in SagaState if not state.ended]


def read_log(connection: sqlite3.Connection, saga_id: str, after_sequence: int) -> list[Event]:
    """Reads the events of one saga after a sequence number. Raises BrokenLogError."""
    found = connection.execute(queries.READ_LOG, {"saga_id": saga_id, "after_sequence": after_sequence})
    return [decode_event(saga_id, sequence, data) for sequence, data in found.fetchall()]


def read_unfinished(connection: sqlite3.Connection, after_id: str, limit: int, now: float) -> Logs:
    """Reads the logs of a page of unfinished sagas, the oldest first."""
    connection.execute("BEGIN")  # so that everything below sees the same moment
    try:
        after_time, after_id = _place(connection, after_id)
        places = {
            "after_time": after_time,
            "after_id": after_id,
            "now": to_microseconds(now),
            "limit": limit,
        }
        found: list[tuple[int, str, int]] = []
        for state in UNFINISHED:
            found += connection.execute(queries.FIND_UNFINISHED, {**places, "state": state}).fetchall()
        keys = {key: saga_id for _, saga_id, key in islice(sorted(found), limit)}
        stored = _read_stored(connection, keys)
    finally:
        connection.execute("COMMIT")
    return _decode(keys, stored)


def _place(connection: sqlite3.Connection, saga_id: str) -> tuple[int, str]:
    """Tells after which place to go on.

    A saga can have ended and been removed since it was the last of a page. Then the pages begin again: that
    repeats some sagas, whereas a guess might leave some out.
    """
    found = connection.execute(queries.FIND_PLACE, {"saga_id": saga_id}).fetchone()
    create_time, saga_id = found or (-(2**62), "")
    return create_time, saga_id


def _read_stored(connection: sqlite3.Connection, keys: Iterable[int]) -> list[tuple[int, int, bytes]]:
    return connection.execute(queries.READ_LOGS, {"saga_keys": json.dumps(list(keys))}).fetchall()


def _decode(keys: dict[int, str], stored: list[tuple[int, int, bytes]]) -> Logs:
    """Decodes the logs of many sagas. One that cannot be read comes out empty, and is told of in our log:
    it must not hold up the others."""
    found: dict[int, list[Event]] = {key: [] for key in keys}
    broken: dict[int, BrokenLogError] = {}
    for key, sequence, data in stored:
        try:
            found[key].append(decode_event(keys[key], sequence, data))
        except BrokenLogError as error:
            broken.setdefault(key, error)
    for key, reason in broken.items():
        log.error("%s", reason, extra={"action": "broken_log", "saga_id": keys[key]})
        found[key] = []
    return [(keys[key], events) for key, events in found.items()]


def put_to_sleep(connection: sqlite3.Connection, wake_times: str) -> None:
    """Remembers wake times, a JSON object of microseconds by saga id."""
    connection.execute(queries.PUT_TO_SLEEP, {"wake_times": wake_times})


def next_wake_time(connection: sqlite3.Connection) -> float | None:
    """Tells when the first sleeper has to be woken."""
    (found,) = connection.execute(queries.NEXT_WAKE_TIME).fetchone()
    return None if found is None else from_microseconds(found)


def take_due(connection: sqlite3.Connection, now: float, limit: int) -> Logs:
    """Wakes sleepers and reads their logs, within the transaction of the caller.

    Reading beside the transaction might return a log that has grown by the time its saga is awake.
    """
    found = connection.execute(queries.FIND_DUE, {"now": to_microseconds(now), "limit": limit})
    keys: dict[int, str] = dict(found.fetchall())
    stored = _read_stored(connection, keys)
    connection.execute(queries.WAKE, {"saga_keys": json.dumps(list(keys))})
    return _decode(keys, stored)


def census(connection: sqlite3.Connection) -> Census:
    """Counts the unfinished sagas."""
    found = connection.execute(queries.CENSUS).fetchall()
    return Census(
        unfinished={SagaState(state): count for state, count, _ in found},
        oldest_create_time=from_microseconds(min(oldest for _, _, oldest in found)) if found else None,
    )
