"""A service of the shop as a process, which can be stopped at an exact point.

``python -m tests.choreography.child JSON``, the JSON being the fields of `Script`. At the point named it
prints "at POINT" and goes no further until it reads a line, or is killed:

    publish     rows of the outbox were selected, and nothing has been published
    published   the bus has them, and they are not marked as sent
    settle      transactions are committed, and nothing has been acknowledged
    STEP        the handler of this step has had its effect, and has not returned

What ships knows nothing of this: the methods of the bus's own objects are wrapped here.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amends._bus.interface import Bus, Subscription
from amends._bus.sqlite import consuming
from amends._choreography import leases
from tests.bus.patience import LEASE_S, shorten_leases
from tests.choreography.shop import Order, Shop, Wishes, place_of


@dataclass(kw_only=True)
class Script:
    """What the process is to do."""

    name: str
    bus: str
    folder: str
    point: str = ""
    """Where to stop."""
    skew: float = 0.0
    """How far ahead its clock is, in seconds."""
    begin: dict[str, list[str]] = field(default_factory=dict)
    """The sagas to begin, with their orders' wishes."""
    tell_fetched: bool = False
    """Whether to print "fetched" for every event that it is given."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of the service."""


def main(script: Script) -> None:
    """Runs the service until it is told to end."""
    shorten_leases(setattr)
    consuming.LEASE_S = LEASE_S  # type: ignore[misc]
    leases.LEASE_S = 0.5  # type: ignore[misc]
    if script.skew:
        real = time.time
        time.time = lambda: real() + script.skew
    wishes = Wishes(stalls={script.point: lambda: wait_at(script.point)})
    shop = Shop(bus=script.bus, folder=Path(script.folder), wishes=wishes, options=script.options)
    service = shop.make(script.name)
    wrap(service._bus, script)
    start = service.start

    async def start_and_begin() -> None:
        await start()
        for saga, order in script.begin.items():
            await service.begin(place_of(service), Order(order), saga_id=saga)
            print(f"began {saga}", flush=True)

    service.start = start_and_begin  # type: ignore[method-assign]
    service.serve()


def wrap(bus: Bus, script: Script) -> None:
    """Has the bus stop at a point."""
    publish, subscribe = bus.publish, bus.subscribe

    async def publish_and_wait(messages: Sequence[Any]) -> Any:
        if script.point == "publish":
            await asyncio.to_thread(wait_at, "publish")
        receipts = await publish(messages)
        if script.point == "published":
            await asyncio.to_thread(wait_at, "published")
        return receipts

    async def subscribe_wrapped(consumer: str, subjects: Any) -> Subscription:
        subscription = await subscribe(consumer, subjects)
        settle, fetch = subscription.settle, subscription.fetch

        async def settle_after_waiting(settlements: Sequence[Any]) -> None:
            if script.point == "settle" and settlements:
                await asyncio.to_thread(wait_at, "settle")
            await settle(settlements)

        async def fetch_and_tell(limit: int) -> Any:
            deliveries = await fetch(limit)
            if script.tell_fetched:
                for delivery in deliveries:
                    print(f"fetched {delivery.message.key}", flush=True)
            return deliveries

        subscription.settle, subscription.fetch = settle_after_waiting, fetch_and_tell  # type: ignore
        return subscription

    bus.publish, bus.subscribe = publish_and_wait, subscribe_wrapped  # type: ignore


def wait_at(point: str) -> None:
    """Stops until a line comes; an end of the input is none."""
    print(f"at {point}", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(Script(**json.loads(sys.argv[1])))
