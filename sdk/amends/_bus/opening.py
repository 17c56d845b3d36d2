"""Which bus a URL names."""

from __future__ import annotations

from pathlib import Path

from amends._bus.interface import Bus
from amends.errors import UsageError


def bus_at(url: str) -> Bus:
    """Makes the bus that a URL names; nothing is opened yet.

    Args:
        url: "sqlite:///relative.db", "sqlite:////absolute.db", or "nats://host:4222".

    Raises:
        UsageError: the URL has another form.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/":
        from amends._bus.sqlite import SqliteBus

        return SqliteBus(Path(rest[1:]))
    raise UsageError(
        f"bus is {url!r}, and must be 'sqlite:///<path>' (an absolute path makes four slashes) "
        "or 'nats://<host>:<port>'"
    )
