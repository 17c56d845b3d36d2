"""Waits for handlers that are coroutines, and tells apart what ended them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

STOPS: Final = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What ends more than the handler: its task, the program, or the event loop."""


class TookTooLongError(Exception):
    """The handler took longer than it may, and was cancelled."""


class AbandonedError(Exception):
    """Something that the handler waited for was cancelled."""


async def wait_for_handler(call: Callable[[], Awaitable[T]], patience: float | None) -> T:
    """Runs a handler, for at most `patience` seconds; None is for ever.

    Raises:
        TookTooLongError: it was cancelled after that.
        AbandonedError: it ended by a cancellation that was not its own task's.
        BaseException: whatever it raises.
    """
    bound = asyncio.timeout(patience)
    try:
        async with bound:
            return await call()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise AbandonedError from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if bound.expired():
            raise TookTooLongError from error
        raise
