"""Addresses at which nobody listens, for servers that start later, stop, and start again.

A port that the system picks may be picked again before its server listens, and the tests that run beside this
one ask for many. So these come from below the range that systems pick from, each is handed out once, and the
processes that tests are spread over keep out of each other's way.
"""

import os
import random
import socket
from collections.abc import Iterator
from typing import Final

_PORTS: Final = range(20_000, 32_000)
_PROCESSES_MAX: Final = 16
"""How many processes the tests may be spread over, on one machine, before two of them share ports."""


def free_address() -> str:
    """An address that nobody listens at now, and that no other test is given."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return f"127.0.0.1:{port}"
    raise OSError(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is left on 127.0.0.1")


def _ports_of(process: int) -> Iterator[int]:
    """Every port of a process once, from one drawn at random on: another run may be under way here."""
    ports = _PORTS[process % _PROCESSES_MAX :: _PROCESSES_MAX]
    first = random.randrange(len(ports))
    yield from ports[first:]
    yield from ports[:first]


_ports = _ports_of(int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))
