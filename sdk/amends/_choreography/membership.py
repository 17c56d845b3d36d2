"""A service among the others on its bus: its name is its own, and what it reacts to is known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from google.protobuf.message import DecodeError

from amends._bus.interface import Bus, BusUnavailableError
from amends._choreography.graph import faults_of
from amends.v1 import choreography_pb2

CLAIM_S: Final = 30.0
"""How long a name stays claimed: after a service is gone, another database can take its place then."""

RENEW_S: Final = 10.0
"""How often the claim is renewed: often enough that a bus may be away for a while."""

_log = logging.getLogger("amends.choreography")


class Membership:
    """Owns the name of a service on a bus."""

    def __init__(self, description: choreography_pb2.ServiceDescription) -> None:
        self._description = description
        self._owner = ""
        self._claimed = asyncio.Event()
        self._announced = False
        self._reported = False

    async def begin(self, bus: Bus, owner: str) -> None:
        """Claims the name for a database, and announces what the service does.

        Raises:
            BusError: another database has the name.
        """
        self._owner = owner
        with suppress(BusUnavailableError):  # the bus has said so itself
            await self._renew(bus)

    async def until_claimed(self) -> None:
        """Waits until the bus knows the name as this database's."""
        await self._claimed.wait()

    async def run(self, bus: Bus) -> None:
        """Keeps the name until cancelled. Raises BusError if another database has taken it."""
        while True:
            await asyncio.sleep(RENEW_S if self._announced else 1.0)
            try:
                await self._renew(bus)
                await self._report_once(bus)
            except BusUnavailableError as error:
                _log.debug("the name was not renewed: %s", error)

    async def _renew(self, bus: Bus) -> None:
        name = self._description.service
        await bus.claim(name, self._owner, CLAIM_S)
        self._claimed.set()
        if not self._announced:
            self._description.time.GetCurrentTime()
            await bus.announce(name, self._description.SerializeToString())
            self._announced = True

    async def _report_once(self, bus: Bus) -> None:
        """Says what is wrong with the graph, once the others had the time to start too."""
        if self._reported or not self._announced:
            return
        services = _described(await bus.announced())
        self._reported = True
        for fault in faults_of(services, of=self._description.service):
            _log.warning("%s", fault, extra={"service": self._description.service})


def _described(announced: Mapping[str, bytes]) -> list[choreography_pb2.ServiceDescription]:
    found = []
    for name, data in announced.items():
        try:
            found.append(choreography_pb2.ServiceDescription.FromString(data))
        except DecodeError:
            _log.warning("the description of service %r cannot be read", name)
    return found
