"""Lists of sagas, the newest first.

Every list is read from an index that has the newest sagas at its end; where several states are wanted there
is one range of the index for each, and the ranges are merged. So a page costs what the page holds, however
many sagas there are, unless a further condition leaves out most of what the index finds: a label that many
sagas have, with a definition that few of them have.
"""

import heapq
import json
import sqlite3
from itertools import islice
from typing import Any

from amends_coordinator.core.transitions import SagaState
from amends_coordinator.store import queries
from amends_coordinator.store.interface import Cursor, Filter, SagaRow
from amends_coordinator.store.rows import row_from_sql, to_microseconds

_ALWAYS = 2**62
"""Microseconds; later than every time that can be stored, and its negative earlier."""


def list_rows(
    connection: sqlite3.Connection, condition: Filter, after: Cursor | None, limit: int
) -> list[SagaRow]:
    """Lists a page of sagas that meet a condition."""
    arguments = _arguments(condition, after, limit)
    connection.execute("BEGIN")  # so that all ranges show the same moment
    try:
        ranges = [
            connection.execute(query, {**arguments, **more}).fetchall() for query, more in _ranges(condition)
        ]
    finally:
        connection.execute("COMMIT")
    merged = heapq.merge(*ranges, key=_place, reverse=True)
    return [row_from_sql(stored) for stored in islice(merged, limit)]


def _ranges(condition: Filter) -> list[tuple[str, dict[str, Any]]]:
    """Chooses the index ranges to read, by the condition that probably leaves the fewest sagas."""
    if condition.needs_attention:
        return [(queries.LIST_BY_ATTENTION, {})]
    if condition.labels and any(state.ended for state in _states(condition)):
        name, value = next(iter(condition.labels.items()))
        return [(queries.LIST_BY_LABEL, {"label_name": name, "label_value": value})]
    return [
        (
            queries.LIST_ENDED_BY_DEFINITION
            if condition.definition_name and state.ended
            else queries.LIST_BY_STATE,
            {"state": state},
        )
        for state in _states(condition)
    ]


def _states(condition: Filter) -> set[SagaState]:
    return set(condition.states or SagaState)


def bounds(condition: Filter, after: Cursor | None) -> dict[str, Any]:
    """The places between which a page lies. The two upper bounds, of the condition and of it, become one."""
    before = (_ALWAYS, "")
    if condition.created_before is not None:
        before = (to_microseconds(condition.created_before), "")  # no id comes before the empty one
    if after is not None:
        before = min(before, (to_microseconds(after.create_time), after.saga_id))
    since = condition.created_from
    return {
        "created_from": -_ALWAYS if since is None else to_microseconds(since),
        "before_time": before[0],
        "before_id": before[1],
    }


def _arguments(condition: Filter, after: Cursor | None, limit: int) -> dict[str, Any]:
    """What every range takes."""
    return {
        **bounds(condition, after),
        "definition_name": condition.definition_name,
        "states": json.dumps([int(state) for state in _states(condition)]),
        "labels": json.dumps(dict(condition.labels), ensure_ascii=False),
        "limit": limit,
    }


def _place(stored: tuple[Any, ...]) -> tuple[int, str]:
    """The creation time and the id in a stored row."""
    return stored[3], stored[0]
