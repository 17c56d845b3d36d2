"""A coordinator's store in a process of its own, to be killed.

python -m tests.store.store_child PATH own           opens the store, says so, and waits
python -m tests.store.store_child PATH write         appends for ever; prints each id and length once durable
"""

import asyncio
import itertools
import sys
from pathlib import Path

from amends_coordinator.store import SqliteStore
from tests.store.store_sagas import more, start


async def main(path: str, deed: str) -> None:
    store = await SqliteStore.open(Path(path))
    print("open", flush=True)
    if deed == "own":
        await asyncio.Event().wait()
    for number in itertools.count():
        names = [f"saga-{number}-{place}" for place in range(8)]
        await store.append([start(name) for name in names])
        print(*(f"{name}=1" for name in names), flush=True)
        await store.append([more(name, 2) for name in names])
        print(*(f"{name}=2" for name in names), flush=True)


asyncio.run(main(*sys.argv[1:]))
