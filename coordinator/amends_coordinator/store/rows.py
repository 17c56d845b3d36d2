"""Saga rows and moments as SQLite keeps them."""

import json
from typing import Any

from amends_coordinator.core.transitions import SagaState
from amends_coordinator.store.interface import SagaRow


def to_microseconds(moment: float) -> int:
    """Turns a moment into what is stored: exact, whereas a float in JSON might lose its last bit."""
    return round(moment * 1e6)


def from_microseconds(stored: int) -> float:
    """Reads a moment; the inverse of :func:`to_microseconds` for whole microseconds."""
    return stored / 1e6


def row_to_json(row: SagaRow) -> list[Any]:
    """Turns a row into its element of the ``sagas`` of a batch."""
    return [
        row.id,
        row.definition_name,
        int(row.state),
        to_microseconds(row.create_time),
        None if row.end_time is None else to_microseconds(row.end_time),
        row.needs_attention.replace("\0", "\N{REPLACEMENT CHARACTER}"),  # where SQLite's text would end
        dict(row.labels),
    ]


def row_from_sql(stored: tuple[Any, ...]) -> SagaRow:
    """Reads a row as the queries select it."""
    saga_id, definition_name, state, create_time, end_time, needs_attention, labels = stored
    return SagaRow(
        id=saga_id,
        definition_name=definition_name,
        state=SagaState(state),
        create_time=from_microseconds(create_time),
        end_time=None if end_time is None else from_microseconds(end_time),
        needs_attention=needs_attention,
        labels=json.loads(labels),
    )
