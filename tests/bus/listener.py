"""A process that takes part in a consumer, for tests that kill or freeze it.

Prints a line "sequence number key time" for each delivery. With "hold" it fetches once, and settles when
it reads "settle", and says so; with "always" it goes on fetching and settles at once. Ends with its input.

Usage: python -m tests.bus.listener URL CONSUMER LEASE {hold|always}
"""

import asyncio
import sys
import time

from amends._bus.interface import Delivery, Subscription
from amends._bus.opening import bus_at
from amends._bus.sqlite import consuming
from tests.bus.messages import acknowledge


async def main(url: str, consumer: str, lease: str, manner: str) -> None:
    consuming.LEASE_S = float(lease)  # type: ignore[misc]
    bus = bus_at(url)
    await bus.open()
    subscription = await bus.subscribe(consumer, ["s"])
    print("ready", flush=True)
    held: list[Delivery] = []
    listening = asyncio.create_task(listen(subscription, held, manner == "always"))
    while line := await asyncio.to_thread(sys.stdin.readline):
        assert line == "settle\n"
        await acknowledge(subscription, held)
        print("settled", flush=True)
    listening.cancel()
    await bus.close()


async def listen(subscription: Subscription, held: list[Delivery], always: bool) -> None:
    while True:
        found = await subscription.fetch(10)
        for one in found:
            print(one.sequence, one.number, one.message.key, time.monotonic_ns(), flush=True)
        if not always:
            held += found
            return
        await acknowledge(subscription, found)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
