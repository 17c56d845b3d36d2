"""What becomes of an event."""

from __future__ import annotations

import enum


class Disposition(enum.StrEnum):
    """What has become of an event, durably."""

    DONE = "done"
    DUPLICATE = "duplicate"
    """It has come before."""
    WAITING = "waiting"
    """It failed, and is tried again."""
    PARKED = "parked"
    """It waits for an earlier one of its saga."""
    DEAD = "dead"
    """It needs help; a dead letter says so."""
