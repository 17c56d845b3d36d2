"""Messages for tests, and ways to take them from a bus."""

import asyncio
import itertools
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

from amends._bus.interface import Bus, Delivery, Message, Receipt, Settlement, Subscription, Verdict
from amends._bus.nats.stream import PARTITIONS

PLACED = "shop.OrderPlaced"
PAID = "shop.Paid"

PATIENCE_S = 30.0
"""How long anything may take before a test has failed."""


def message(number: int, *, key: str = "order-1", subject: str = PLACED, data: bytes = b"") -> Message:
    return Message(
        id=f"shop/{key}-{number}",
        key=key,
        subject=subject,
        headers={"ce-id": str(number), "content-type": "application/protobuf"},
        data=data or str(number).encode(),
    )


async def publish(bus: Bus, *messages: Message) -> list[int]:
    """Publishes messages, all of which must be taken; returns their sequence numbers."""
    receipts = await bus.publish(messages)
    assert all(isinstance(receipt, Receipt) for receipt in receipts), receipts
    return [receipt.sequence for receipt in receipts if isinstance(receipt, Receipt)]


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    """Takes so many messages and settles none, where all of them can be out at once."""
    taken: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            taken += await subscription.fetch(count - len(taken))
    return taken


async def consume(subscription: Subscription, count: int) -> list[Message]:
    """Takes so many messages, and acknowledges each."""
    taken: list[Message] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(taken) < count:
            deliveries = await subscription.fetch(count - len(taken))
            await acknowledge(subscription, deliveries)
            taken += [delivery.message for delivery in deliveries]
    return taken


class Taken:
    """What several processes have taken, and a way to wait for more."""

    def __init__(self) -> None:
        self.by: dict[Subscription, list[Message]] = defaultdict(list)
        self._more = asyncio.Event()

    @property
    def all(self) -> list[Message]:
        return [one for taken in self.by.values() for one in taken]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self._more.clear()
                await self._more.wait()

    async def work(self, subscription: Subscription) -> None:
        while True:
            deliveries = await subscription.fetch(5)
            await acknowledge(subscription, deliveries)
            self.by[subscription] += [delivery.message for delivery in deliveries]
            self._more.set()


@asynccontextmanager
async def working(*subscriptions: Subscription) -> AsyncIterator[Taken]:
    """Has each of these take and acknowledge all it can get."""
    taken = Taken()
    workers = [asyncio.create_task(taken.work(subscription)) for subscription in subscriptions]
    try:
        yield taken
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def acknowledge(subscription: Subscription, deliveries: Iterable[Delivery]) -> None:
    await settle(subscription, Verdict.ACK, *deliveries)


async def settle(
    subscription: Subscription, verdict: Verdict, *deliveries: Delivery, delay: float = 0.0
) -> None:
    await subscription.settle(
        [Settlement(delivery=delivery, verdict=verdict, delay=delay) for delivery in deliveries]
    )


def keys_apart(count: int) -> list[str]:
    """Keys of different partitions, where a bus has as many as NATS: none holds up another."""
    found: dict[int, str] = {}
    for number in itertools.count():
        if len(found) == count:
            return list(found.values())
        found.setdefault(zlib.crc32(f"order-{number}".encode()) % PARTITIONS, f"order-{number}")
    raise AssertionError("there are keys for every partition")


def by_key(messages: Iterable[Message]) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {}
    for one in messages:
        found.setdefault(one.key, []).append(one)
    return found


def ids(messages: Collection[Message] | Sequence[Delivery]) -> list[str]:
    return [one.message.id if isinstance(one, Delivery) else one.id for one in messages]
