"""The durable log of sagas: one interface, a store on SQLite, a store in memory."""

from pathlib import Path

from amends_coordinator.store.interface import Store, StoreRefusedError
from amends_coordinator.store.memory import MemoryStore
from amends_coordinator.store.sqlite import SqliteStore

__all__ = ["open_store", "MemoryStore", "SqliteStore"]


async def open_store(url: str) -> Store:
    """Opens the store that a URL names.

    Usage::

        await open_store("sqlite:///amends.db")           # relative to the working directory
        await open_store("sqlite:////var/lib/amends.db")  # absolute: four slashes
        await open_store("memory:")                       # for tests: gone with the process

    Raises:
        StoreRefusedError: there is no such kind of store, or this one cannot be used; says what to do.
    """
    if url == "memory:":
        return MemoryStore()
    path = url.removeprefix("sqlite:///")
    if path in ("", url):
        raise StoreRefusedError(
            f"there is no store for {url!r}; write sqlite:///relative.db, sqlite:////absolute.db or memory:"
        )
    return await SqliteStore.open(Path(path))
