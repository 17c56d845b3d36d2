"""Shortens how long buses wait for processes that may be dead, so that tests need not."""

from collections.abc import Callable
from typing import Any

from amends._bus.nats import consumer, requests

LEASE_S = 1.0


def shorten_leases(setattr_: Callable[[Any, str, Any], None]) -> None:
    """Has a NATS server take a message back after a second. Takes monkeypatch.setattr, or Python's own."""
    setattr_(consumer, "ACK_WAIT_S", LEASE_S)
    setattr_(requests, "_CHECK_S", LEASE_S / 4)
