"""What a consumer does to its rows to take messages and to settle them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from amends._bus.interface import Delivery, Settlement, Verdict
from amends._bus.sqlite.joining import Owner
from amends._bus.sqlite.rows import BYTES_TOGETHER, END, message_of

LEASE_S: Final = 30.0
"""How long a message stays with an owner that does not speak of it: longer than a service stalls, and short
enough for an operator who has frozen one. Owners that died are found without it."""

_STRIDE: Final = 10_000
"""How many messages of the log to look through in one transaction, wanted or not: some milliseconds."""


class GivenUpError(Exception):
    """Others have taken this owner for dead: its row is gone, and it must join again."""


# To take


def has_more(connection: sqlite3.Connection, owner: Owner, now: float) -> bool:
    """Whether there may be something to take, found without writing."""
    (found,) = connection.execute(_MORE, {"consumer": owner.consumer, "now": now}).fetchone()
    return bool(found)


def wait_of(connection: sqlite3.Connection, owner: Owner, now: float) -> float:
    """For how many seconds nothing comes of itself: until the next delay is over."""
    (due,) = connection.execute(
        "SELECT min(due) FROM deliveries WHERE consumer = ? AND owner = 0 AND due > ?", (owner.consumer, now)
    ).fetchone()
    return float("inf") if due is None else due - now


_MORE: Final = """
SELECT EXISTS (
    SELECT 1 FROM messages WHERE sequence > (SELECT position FROM consumers WHERE number = :consumer)
) OR EXISTS (SELECT 1 FROM deliveries WHERE consumer = :consumer AND owner = 0 AND due <= :now)
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one transaction has given to an owner."""

    deliveries: list[Delivery]
    exhausted: bool
    """Whether the consumer has been through the whole log."""


def take(connection: sqlite3.Connection, owner: Owner, limit: int, now: float, oldest: float) -> Taken:
    """Gives messages to an owner: first of those that wait, then of those that the consumer has not seen.

    Args:
        connection: in a transaction that writes.
        owner: whom to give them to.
        limit: how many to give at most.
        now: the time, in seconds since 1970.
        oldest: what was published before this is not delivered any more.

    Raises:
        GivenUpError: there is no such owner any more.
    """
    found = connection.execute(
        "SELECT position FROM consumers JOIN owners ON consumer = consumers.number WHERE owners.number = ?",
        (owner.number,),
    ).fetchone()
    if found is None:
        raise GivenUpError
    terms = {
        "consumer": owner.consumer,
        "owner": owner.number,
        "subjects": owner.subjects,
        "now": now,
        "oldest": oldest,
        "limit": limit,
        "position": found[0],
        "stop": found[0] + _STRIDE,
    }
    waiting = _take_waiting(connection, owner, terms)
    if len(waiting) == limit or sum(len(delivery.message.data) for delivery in waiting) > BYTES_TOGETHER:
        return Taken(waiting, exhausted=False)
    fresh, exhausted = _take_fresh(connection, owner, terms | {"limit": limit - len(waiting)})
    return Taken(waiting + fresh, exhausted)


def _take_waiting(connection: sqlite3.Connection, owner: Owner, terms: dict[str, object]) -> list[Delivery]:
    taken: list[Delivery] = []
    size = 0
    for number, *columns in connection.execute(_WAITING, terms):
        taken.append(_delivery(owner, columns, number + 1))
        size += len(taken[-1].message.data)
        if size > BYTES_TOGETHER:
            break
    if taken:
        connection.executemany(
            "UPDATE deliveries SET owner = ?, number = ?, due = ? WHERE consumer = ? AND sequence = ?",
            [
                (owner.number, delivery.number, _lease(terms), owner.consumer, delivery.sequence)
                for delivery in taken
            ],
        )
    return taken


def _take_fresh(
    connection: sqlite3.Connection, owner: Owner, terms: dict[str, object]
) -> tuple[list[Delivery], bool]:
    taken: list[Delivery] = []
    rows = []
    held: set[str] = set()
    size = 0
    cut = False
    for is_mine, is_held, *columns in connection.execute(_FRESH, terms):
        sequence, _, key, subject, *_ = columns
        if is_held or not is_mine or key in held:
            held.add(key)
            rows.append((owner.consumer, sequence, key, subject, 0, 0, 0.0))
            continue
        taken.append(_delivery(owner, columns, 1))
        rows.append((owner.consumer, sequence, key, subject, owner.number, 1, _lease(terms)))
        size += len(taken[-1].message.data)
        if size > BYTES_TOGETHER:
            cut = True
            break
    cut = cut or len(rows) == terms["limit"]
    (end,) = connection.execute(END).fetchone()
    position = rows[-1][1] if cut else min(end, terms["stop"])
    if position != terms["position"]:
        connection.executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("UPDATE consumers SET position = ? WHERE number = ?", (position, owner.consumer))
    return taken, position == end


def _lease(terms: dict[str, object]) -> float:
    now = terms["now"]
    assert isinstance(now, float)
    return now + LEASE_S


def _delivery(owner: Owner, columns: Sequence[object], number: int) -> Delivery:
    sequence, message = message_of(columns)
    return Delivery(message=message, sequence=sequence, number=number, handle=owner.number)


_COLUMNS: Final = "messages.sequence, id, messages.key, messages.subject, headers, data"

# The next of each key that nobody else has a message of, and that no earlier one of the same key waits for.
_WAITING: Final = f"""
SELECT number, {_COLUMNS} FROM deliveries AS this JOIN messages ON messages.sequence = this.sequence
WHERE this.consumer = :consumer AND this.owner = 0 AND this.due <= :now AND published_at >= :oldest
AND this.subject IN (SELECT value FROM json_each(:subjects))
AND NOT EXISTS (
    SELECT 1 FROM deliveries AS other WHERE other.consumer = :consumer AND other.key = this.key AND (
        other.owner NOT IN (0, :owner) OR (
            other.owner = 0 AND other.sequence < this.sequence AND (
                other.due > :now OR other.subject NOT IN (SELECT value FROM json_each(:subjects))
            )
        )
    )
)
ORDER BY this.sequence LIMIT :limit
"""  # noqa: S608 - our own columns

# What is wanted by the consumer; whether this owner wants it; and whether others of its key stand in its way.
_FRESH: Final = f"""
SELECT messages.subject IN (SELECT value FROM json_each(:subjects)), EXISTS (
    SELECT 1 FROM deliveries AS other
    WHERE other.consumer = :consumer AND other.key = messages.key AND other.owner <> :owner
), {_COLUMNS}
FROM messages
WHERE messages.sequence > :position AND messages.sequence <= :stop AND published_at >= :oldest
AND messages.subject IN (SELECT subject FROM subjects WHERE consumer = :consumer AND left_after IS NULL)
ORDER BY messages.sequence LIMIT :limit
"""  # noqa: S608 - our own columns


# To settle


def give_back(connection: sqlite3.Connection, owner: Owner, deliveries: Sequence[Delivery]) -> None:
    """Takes deliveries from an owner who has not looked at them."""
    connection.executemany(
        f"UPDATE deliveries SET owner = 0, due = 0 WHERE {_OWNED}",  # noqa: S608 - our own words
        _owned(owner, deliveries),
    )


def settle(
    connection: sqlite3.Connection, owner: Owner, settlements: Sequence[Settlement], now: float
) -> list[str]:
    """Carries out verdicts about what an owner still has. Returns whom to wake for what waits now."""
    done = [one.delivery for one in settlements if one.verdict is not Verdict.NAK]
    back = [one for one in settlements if one.verdict is Verdict.NAK]
    if done:
        statement = f"DELETE FROM deliveries WHERE {_OWNED}"  # noqa: S608 - of constants
        connection.executemany(statement, _owned(owner, done))
    if back:
        dues = [now + one.delay for one in back]
        rows = _owned(owner, [one.delivery for one in back])
        connection.executemany(
            f"UPDATE deliveries SET owner = 0, due = ? WHERE {_OWNED}",  # noqa: S608 - our own words
            [(due, *row) for due, row in zip(dues, rows, strict=True)],
        )
    # Whoever waits for a delay to be over must learn of a new one.
    terms = {"consumer": owner.consumer, "due": float("inf") if back else now}
    return [bell for (bell,) in connection.execute(_BELLS_OF_WAITING, terms)]


def keep(connection: sqlite3.Connection, owner: Owner, deliveries: Sequence[Delivery], now: float) -> None:
    """Lengthens the leases of what an owner still has."""
    connection.executemany(
        f"UPDATE deliveries SET due = ? WHERE {_OWNED}",  # noqa: S608 - our own words
        [(now + LEASE_S, *row) for row in _owned(owner, deliveries)],
    )


_OWNED: Final = "consumer = ? AND sequence = ? AND owner = ? AND number = ?"

_BELLS_OF_WAITING: Final = """
SELECT bell FROM owners WHERE consumer = :consumer
AND EXISTS (SELECT 1 FROM deliveries WHERE consumer = :consumer AND owner = 0 AND due <= :due)
"""


def _owned(owner: Owner, deliveries: Sequence[Delivery]) -> list[tuple[int, int, int, int]]:
    return [(owner.consumer, one.sequence, one.handle, one.number) for one in deliveries]
