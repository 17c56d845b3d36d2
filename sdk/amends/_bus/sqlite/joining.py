"""Joining a consumer and leaving it, and what it wants."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from amends._bus.sqlite.rows import END


@dataclass(frozen=True, slots=True)
class Owner:
    """A process's part in a consumer."""

    number: int
    consumer: int
    subjects: str
    """What it wants, as a JSON array."""


def join(connection: sqlite3.Connection, name: str, subjects: Sequence[str], bell: str) -> Owner:
    """Makes an owner, and the consumer if there is none of this name; it then begins with what comes next.

    The consumer wants these subjects from now on, and no others. One that is new to it is gone through from
    the consumer's beginning; one that it did without for a time, from where it was left.
    """
    (end,) = connection.execute(END).fetchone()
    connection.execute(
        "INSERT INTO consumers (name, beginning, position) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (name, end, end),
    )
    number, beginning = connection.execute(
        "SELECT number, beginning FROM consumers WHERE name = ?", (name,)
    ).fetchone()
    known = dict(
        connection.execute(
            "SELECT subject, left_after FROM subjects WHERE consumer = ?", (number,)
        ).fetchall()
    )
    for subject in (subject for subject, left in known.items() if left is None and subject not in subjects):
        _forgo(connection, number, subject)
    for subject in subjects:
        if subject not in known or known[subject] is not None:
            _want(connection, number, subject, known.get(subject, beginning))
    made = connection.execute("INSERT INTO owners (consumer, bell) VALUES (?, ?)", (number, bell))
    assert made.lastrowid is not None
    return Owner(made.lastrowid, number, json.dumps(sorted(subjects)))


def leave(connection: sqlite3.Connection, owner: int) -> list[str]:
    """Removes an owner, and gives back what it has. Returns the bells of those who may want it."""
    connection.execute("UPDATE deliveries SET owner = 0, due = 0 WHERE owner = ?", (owner,))
    bells = connection.execute(
        "SELECT bell FROM owners WHERE number <> :owner AND consumer = ("
        "SELECT consumer FROM owners WHERE number = :owner)",
        {"owner": owner},
    ).fetchall()
    connection.execute("DELETE FROM owners WHERE number = ?", (owner,))
    return [bell for (bell,) in bells]


def _forgo(connection: sqlite3.Connection, consumer: int, subject: str) -> None:
    connection.execute(
        """
        UPDATE subjects SET left_after = coalesce(
            (SELECT min(sequence) - 1 FROM deliveries WHERE consumer = :consumer AND subject = :subject),
            (SELECT position FROM consumers WHERE number = :consumer)
        ) WHERE consumer = :consumer AND subject = :subject
        """,
        {"consumer": consumer, "subject": subject},
    )
    connection.execute("DELETE FROM deliveries WHERE consumer = ? AND subject = ?", (consumer, subject))


def _want(connection: sqlite3.Connection, consumer: int, subject: str, after: int) -> None:
    connection.execute(
        "INSERT INTO subjects (consumer, subject) VALUES (?, ?) "
        "ON CONFLICT (consumer, subject) DO UPDATE SET left_after = NULL",
        (consumer, subject),
    )
    connection.execute(
        """
        INSERT INTO deliveries (consumer, sequence, key, subject, owner, number, due)
        SELECT :consumer, sequence, key, subject, 0, 0, 0 FROM messages WHERE subject = :subject
        AND sequence > :after AND sequence <= (SELECT position FROM consumers WHERE number = :consumer)
        """,
        {"consumer": consumer, "subject": subject, "after": after},
    )
