"""A service's process.

``python -m tests.chaos.choreography.worker SERVICE BUS STORE SEED MENDED relay|none [DOOR]``
"""

import sys
from pathlib import Path
from random import Random

from amends.choreography import EventService, Retry
from tests.chaos.choreography.conduct import Conduct
from tests.chaos.choreography.door import Door
from tests.chaos.choreography.errands import ATTEMPTS_MAX
from tests.chaos.choreography.haste import hurry
from tests.chaos.choreography.services import ADD
from tests.promises.ledgers import SCHEMA

RETRY = Retry(max_attempts=ATTEMPTS_MAX, initial_backoff=0.02, max_backoff=0.3)


class ServiceWithDoor(EventService):
    """Opens its door when it has started, and closes it before it stops."""

    door: Door
    address: str

    async def start(self) -> None:
        """See EventService."""
        await super().start()
        if self.address:
            await self.door.open(self.address)

    async def stop(self, grace: float = 2.0) -> None:
        """See EventService."""
        await self.door.close()
        await super().stop(grace)


def build(name: str, bus: str, store: str, conduct: Conduct, *, relay: bool, address: str) -> EventService:
    """Makes a service."""
    service = ServiceWithDoor(name, bus=bus, store=store, schema=SCHEMA, retry=RETRY, relay=relay)
    service.door = Door(service, ADD[name](service, conduct))
    service.address = address
    return service


if __name__ == "__main__":
    name, bus, store, seed, mended, relay, *door = sys.argv[1:]
    hurry()
    conduct = Conduct(Random(seed), Path(mended))
    build(name, bus, store, conduct, relay=relay == "relay", address="".join(door)).serve(grace=2.0)
