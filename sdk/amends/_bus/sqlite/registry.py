"""Who uses which name on a bus, and what services say of themselves."""

from __future__ import annotations

import sqlite3

from amends._bus.interface import BusError


def claim(connection: sqlite3.Connection, service: str, owner: str, now: float, until: float) -> None:
    """Gives a name to an owner. Raises BusError while it is another's."""
    found = connection.execute(
        "SELECT owner, until FROM claims WHERE service = ? AND owner <> ? AND until > ?",
        (service, owner, now),
    ).fetchone()
    if found is not None:
        raise BusError(
            f"the name {service!r} is used by a service with another store ({found[0]}): give this one "
            f"another name, or the same store; if the other is gone, wait for {found[1] - now:.0f} s"
        )
    connection.execute(
        "INSERT INTO claims (service, owner, until) VALUES (?, ?, ?) "
        "ON CONFLICT (service) DO UPDATE SET owner = excluded.owner, until = excluded.until",
        (service, owner, until),
    )


def announce(connection: sqlite3.Connection, service: str, description: bytes) -> None:
    """Keeps a description, in place of the one before."""
    connection.execute(
        "INSERT INTO announcements (service, description) VALUES (?, ?) "
        "ON CONFLICT (service) DO UPDATE SET description = excluded.description",
        (service, description),
    )


def announced(connection: sqlite3.Connection) -> dict[str, bytes]:
    """Reads all descriptions."""
    return dict(connection.execute("SELECT service, description FROM announcements").fetchall())
