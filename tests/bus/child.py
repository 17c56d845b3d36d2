"""A process that takes messages from a bus, says which, and settles none: for tests that kill it.

Run as `python -m tests.bus.child URL CONSUMER COUNT`.
"""

import asyncio
import sys

from amends._bus.opening import bus_at
from tests.bus.messages import PAID, PLACED, take
from tests.bus.patience import shorten_leases


async def main(url: str, consumer: str, count: int) -> None:
    shorten_leases(setattr)
    bus = bus_at(url)
    await bus.open()
    subscription = await bus.subscribe(consumer, [PLACED, PAID])
    for delivery in await take(subscription, count):
        print(delivery.message.id, flush=True)
    print("taken", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
