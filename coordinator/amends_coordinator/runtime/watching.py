"""Watching a saga: what happened so far, then what happens, each event once it is durable."""

import asyncio
from collections.abc import AsyncIterator

from amends_coordinator.core.facts import Event
from amends_coordinator.runtime.runtime import Runtime


async def watch(runtime: Runtime, saga_id: str, after: int, *, live: bool) -> AsyncIterator[Event]:
    """Yields the events of a saga after a sequence number.

    Events are read from the store whenever there is news, rather than handed over as they come: a watcher
    that is slow then costs nobody anything, and none sees what is not durable.

    Args:
        runtime: drives the saga.
        saga_id: the saga.
        after: the sequence number of the last event that the watcher has seen; 0 for none.
        live: whether to go on until the saga ends, or to stop at what happened so far.

    Raises:
        NotFoundError: there is no such saga.
        StoreUnavailableError: the store cannot be read.
    """
    found = None
    if live:
        found, _ = await runtime.load(saga_id)
    else:
        await runtime.read(saga_id)  # to look back is no reason to wake a saga that sleeps
    news = asyncio.Event()
    if found is not None:
        found.watchers.append(news.set)
    try:
        while True:
            news.clear()
            ended = found is None or runtime.live(saga_id) is not found
            for event in await runtime.store.read_log(saga_id, after):
                after = event.sequence
                yield event
            if ended or not live:
                return
            await news.wait()
    finally:
        if found is not None:
            found.watchers.remove(news.set)
