"""A service that has started is one that receives."""

from __future__ import annotations

import asyncio
from pathlib import Path

from amends._bus.opening import bus_at
from amends._choreography.emission import Emission
from amends._payload import pack
from amends.choreography import EventContext, EventService


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
