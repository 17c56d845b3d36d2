"""Leases and timeouts of a round: a fraction of what they are in earnest.

A process that is stopped for three seconds then outlasts its lease at the bus and in the outbox, for which it
would else take half a minute. How they relate to each other stays as it is.
"""

from types import ModuleType
from typing import Final

from amends._bus.nats import consumer, requests
from amends._bus.sqlite import consuming as taking
from amends._choreography import consuming, leases, retrying

RELAY_LEASE_S: Final = 1.0
BUS_LEASE_S: Final = 2.0

OUTLASTING: Final = (2.5, 4.0)
"""Seconds, from and to, of a stop that outlasts both."""


def hurry() -> None:
    """Shortens for how long this process waits for others. Called before anything is opened."""
    _shorten(leases, "LEASE_S", RELAY_LEASE_S)
    _shorten(taking, "LEASE_S", BUS_LEASE_S)
    _shorten(consumer, "ACK_WAIT_S", BUS_LEASE_S)
    _shorten(requests, "_CHECK_S", BUS_LEASE_S / 4)
    _shorten(consuming, "KEEP_S", BUS_LEASE_S / 3)
    _shorten(retrying, "POLL_S", RELAY_LEASE_S)


def _shorten(module: ModuleType, name: str, seconds: float) -> None:
    setattr(module, name, min(seconds, getattr(module, name)))
