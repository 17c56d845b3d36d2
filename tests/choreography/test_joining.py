"""A service that has started is one that receives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from amends._bus.interface import Message, Receipt
from amends._bus.opening import bus_at
from amends._bus.sqlite.bus import SqliteBus
from amends._bus.sqlite.subscription import SqliteSubscription
from amends._choreography.emission import Emission
from amends._payload import pack
from amends.choreography import EventContext, EventService, JsonEvent


async def test_an_event_published_at_the_moment_a_service_has_started_comes_to_it(
    bus_url: str, tmp_path: Path
) -> None:
    """A consumer receives what comes after it was first named, so that has to be before."""
    came = asyncio.Event()
    service = EventService("listener", bus=bus_url, store=f"sqlite:///{tmp_path}/listener.db")

    @service.on("shop.v1.Noise", effect_free=True)
    async def hear(noise: dict[str, str], ctx: EventContext) -> None:
        came.set()

    bus = bus_at(bus_url)
    await bus.open()
    emission = Emission(service="noise", saga_id="s", step="make", cause="", max_bytes=10_000)
    noise = emission.message("shop.v1.Noise", pack({"what": "bang"}))
    await service.start()
    try:
        await bus.publish([noise])
        async with asyncio.timeout(30):
            await came.wait()
    finally:
        await service.stop()
        await bus.close()


async def test_nothing_leaves_before_the_bus_knows_who_is_to_hear_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the bus was away at the start, the consumer is named only once it is back."""
    named, left = asyncio.Event(), asyncio.Event()
    known_when_it_left: list[bool] = []
    publish = SqliteBus.publish

    async def until_named(_subscription: SqliteSubscription) -> None:
        await named.wait()

    async def publish_and_note(bus: SqliteBus, messages: Sequence[Message]) -> list[Receipt | Exception]:
        known_when_it_left.append(named.is_set())
        left.set()
        return await publish(bus, messages)

    monkeypatch.setattr(SqliteSubscription, "until_named", until_named)
    monkeypatch.setattr(SqliteBus, "publish", publish_and_note)
    service = EventService(
        "orders", bus=f"sqlite:///{tmp_path}/bus.db", store=f"sqlite:///{tmp_path}/orders.db"
    )

    @service.entry(emits=["OrderPlaced"], effect_free=True)
    def place(order: dict[str, str], ctx: EventContext) -> JsonEvent:
        return JsonEvent("OrderPlaced", order)

    async with service:
        for number in range(3):
            await service.begin(place, {"number": str(number)})
        named.set()
        async with asyncio.timeout(30):
            await left.wait()
    assert all(known_when_it_left)
