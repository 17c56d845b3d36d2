"""Where a NATS bus is, and how to get in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from amends.errors import UsageError

FORM: Final = "nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][,HOST[:PORT]...][/STREAM][?creds=FILE]"
"""How an address is written; tls:// in place of nats:// insists on encryption."""

_STREAM: Final = "AMENDS"
_PORT: Final = 4222
_STREAM_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What the URL of a NATS bus says."""

    hosts: tuple[str, ...]
    """The servers of the cluster, each as host and port; whichever answers is taken."""
    stream: str
    """The stream that holds the events."""
    tls: bool = False
    """Whether a connection that is not encrypted must not be used."""
    user: str | None = None
    """With a password."""
    password: str | None = field(default=None, repr=False)
    """With a user."""
    token: str | None = field(default=None, repr=False)
    """In place of user and password."""
    credentials: Path | None = None
    """A file with a JWT and the seed of its key, as `nsc` makes them."""

    def __str__(self) -> str:
        """The address for people: without what lets one in."""
        return f"{self._scheme}://{','.join(self.hosts)}/{self.stream}"

    @property
    def servers(self) -> list[str]:
        """A URL for each of the servers, without what lets one in."""
        return [f"{self._scheme}://{host}" for host in self.hosts]

    @property
    def prefix(self) -> str:
        """What the subjects of the stream begin with."""
        return self.stream.lower()

    @property
    def _scheme(self) -> str:
        return "tls" if self.tls else "nats"


def read_address(url: str) -> Address:
    """Reads the URL of a NATS bus.

    Raises:
        UsageError: it is malformed; the message does not repeat its password.
    """
    parts = urlsplit(url)
    access, _, hosts = parts.netloc.rpartition("@")
    user, colon, password = access.partition(":")
    stream = parts.path.strip("/") or _STREAM
    if not _STREAM_NAME.fullmatch(stream):
        raise UsageError(
            f"the bus names the stream {stream!r}, which must be 1 to 64 letters, digits, - and _ ({FORM})"
        )
    return Address(
        hosts=tuple(_host(host) for host in hosts.split(",")),
        stream=stream,
        tls=parts.scheme == "tls",
        user=unquote(user) if colon else None,
        password=unquote(password) if colon else None,
        token=unquote(user) if user and not colon else None,
        credentials=_credentials(parts),
    )


def _host(text: str) -> str:
    try:
        host = urlsplit(f"//{text}")
        port = host.port or _PORT
    except ValueError:
        host, port = urlsplit(""), 0
    if not host.hostname:
        raise UsageError(f"the bus names the server {text!r}, which must be HOST or HOST:PORT ({FORM})")
    name = f"[{host.hostname}]" if ":" in host.hostname else host.hostname
    return f"{name}:{port}"


def _credentials(parts: SplitResult) -> Path | None:
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    file = settings.pop("creds", None)
    if settings or parts.fragment:
        raise UsageError(
            f"the bus has the setting {next(iter(settings), parts.fragment)!r}, unknown here ({FORM})"
        )
    if file is None:
        return None
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"the bus names the credentials {file!r}, and there is no such file")
    return path
