"""The event loop that servers run in."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a program to its end, in uvloop where there is one and in asyncio's own loop elsewhere.

    A saga is dozens of wake-ups of an event loop, and one of uvloop's costs a fraction of one of asyncio's.
    """
    try:
        import uvloop
    except ImportError:  # it does not exist for every platform
        return asyncio.run(main)
    return uvloop.run(main)
