"""Whether a process is there."""

from __future__ import annotations

import os


def is_running(pid: int) -> bool:
    """Says whether a process, or its remains, can be seen."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
