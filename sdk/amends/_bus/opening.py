"""Which bus a URL names."""

from __future__ import annotations

from pathlib import Path

from amends._bus.interface import Bus
from amends.errors import UsageError


def bus_at(url: str) -> Bus:
    """Makes the bus that a URL names; nothing is opened yet.

    Args:
        url: "sqlite:///relative.db", "sqlite:////absolute.db", or "nats://host:4222", tls:// for one that has
            to be encrypted.

    Raises:
        UsageError: the URL has another form, or the client of NATS is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/":
        from amends._bus.sqlite import SqliteBus

        return SqliteBus(Path(rest[1:]))
    if scheme in ("nats", "tls"):
        try:
            from amends._bus.nats import NatsBus
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("nats"):
                raise
            raise UsageError('a bus on NATS needs the package nats-py: pip install "amends[nats]"') from error

        return NatsBus(url)
    raise UsageError(
        f"bus is {url!r}, and must be 'sqlite:///<path>' (an absolute path makes four slashes) "
        "or 'nats://<host>:<port>'"
    )
