"""Registered definitions in SQLite."""

import sqlite3
from dataclasses import replace

from amends.v1 import saga_pb2
from amends_coordinator.contract.definitions import definition_from_proto, definition_to_proto
from amends_coordinator.core.definition import Definition
from amends_coordinator.store import queries
from amends_coordinator.store.rows import from_microseconds, to_microseconds

Registered = tuple[Definition, float]
"""A definition with its version, and the time it was registered."""


def put(connection: sqlite3.Connection, definition: Definition, now: float) -> Registered:
    """Stores a definition as its next version unless it equals the newest, in the caller's transaction."""
    newest = get(connection, definition.name, 0)
    version = 1
    if newest is not None:
        if _same_content(newest[0], definition):
            return newest
        version = newest[0].version + 1
    stored = replace(definition, version=version)
    connection.execute(
        queries.PUT_DEFINITION,
        {
            "name": stored.name,
            "version": version,
            "create_time": to_microseconds(now),
            "data": definition_to_proto(stored).SerializeToString(),
        },
    )
    return stored, now


def _same_content(one: Definition, other: Definition) -> bool:
    return replace(one, version=0) == replace(other, version=0)


def get(connection: sqlite3.Connection, name: str, version: int) -> Registered | None:
    """Reads a version of a definition; 0 is the newest."""
    if version:
        found = connection.execute(queries.GET_DEFINITION, {"name": name, "version": version})
    else:
        found = connection.execute(queries.GET_NEWEST_DEFINITION, {"name": name})
    stored = found.fetchone()
    return None if stored is None else _read(stored)


def list_newest(connection: sqlite3.Connection, after_name: str, limit: int) -> list[Registered]:
    """Lists the newest version of each definition after a name."""
    found = connection.execute(queries.LIST_DEFINITIONS, {"after_name": after_name, "limit": limit})
    return [_read(stored) for stored in found.fetchall()]


def _read(stored: tuple[int, int, bytes]) -> Registered:
    version, create_time, data = stored
    definition = definition_from_proto(saga_pb2.Definition.FromString(data))
    return replace(definition, version=version), from_microseconds(create_time)
