"""The form of a saga's id in a choreography, where it may come from a system that knows nothing of Amends."""

from __future__ import annotations

from typing import Final

SAGA_ID_LENGTH_MAX: Final = 128
"""Characters; as in the contracts of the coordinator."""


def saga_id_fault(saga_id: str) -> str:
    """Says as a predicate what is wrong with an id; empty for nothing.

    Any printable characters but spaces will do, so that an order's own number can be its saga's id.
    """
    if not saga_id:
        return "is missing"
    if len(saga_id) > SAGA_ID_LENGTH_MAX:
        return f"has {len(saga_id)} characters, more than {SAGA_ID_LENGTH_MAX}"
    if not saga_id.isprintable() or any(character.isspace() for character in saga_id):
        return "has characters that are not printable, or spaces"
    return ""
