"""Connects to a server, and tells a server that refuses us from one that is away."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from amends._bus.interface import BusError, BusUnavailableError
from amends._bus.nats.address import Address
from amends._bus.nats.session import Session

_CONNECT_TIMEOUT_S: Final = 2
_PING_INTERVAL_S: Final = 10
"""A connection that died without a word is found after three of these."""

_PENDING_BYTES: Final = 8 * 1024 * 1024


class _Client(Client):
    """The library's client, in two things mended: it would send a password unencrypted if a server asked for
    that, and it looks at headers letter by letter, which is a third of the time that an event takes here."""

    tls = False

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        lines = raw.decode("utf-8", "replace").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return {name.strip(): value.strip() for name, colon, value in pairs if colon}

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if self.tls and not info.get("tls_required"):
            raise ssl.SSLError("the server does not encrypt")
        await super()._process_info(info, initial_connection)


async def connect(address: Address) -> Session:
    """Connects to one of the servers.

    Raises:
        BusError: there is one, and it refuses the credentials, or its certificate cannot be trusted; or the
            file of credentials is malformed.
        BusUnavailableError: none can be reached.
    """
    client = _Client()
    client.tls = address.tls
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    faults: deque[Exception] = deque(maxlen=1)

    async def on_error(error: Exception) -> None:
        faults.append(error)

    async def on_closed() -> None:
        if not lost.done():
            lost.set_result(None)

    try:
        await client.connect(
            address.servers,
            name="amends",
            user=address.user,
            password=address.password,
            token=address.token,
            user_credentials=address.credentials and str(address.credentials),
            error_cb=on_error,
            closed_cb=on_closed,
            allow_reconnect=False,
            connect_timeout=_CONNECT_TIMEOUT_S,
            max_reconnect_attempts=1,  # two in all, without a wait between them
            reconnect_time_wait=0,
            ping_interval=_PING_INTERVAL_S,
            pending_size=_PENDING_BYTES,
        )
        session = Session(client, lost, faults)
        await session.listen()
    except BaseException as error:
        # Why no server was left; closing may add faults of its own.
        reason = faults[-1] if isinstance(error, nats.errors.NoServersError) and faults else error
        with suppress(OSError):
            await client.close()
        if isinstance(reason, nats.errors.Error | OSError):
            raise _translated(reason, address) from error
        if isinstance(error, Exception) and address.credentials:
            # The library says so in many ways.
            text = (
                f"{address.credentials} cannot be used to get into {address}: it must have a JWT and a seed"
            )
            raise BusError(text) from error
        raise
    return session


def _translated(error: Exception, address: Address) -> BusError | BusUnavailableError:
    text = str(error) or type(error).__name__
    if "authorization" in text.lower() or "authentication" in text.lower():
        return BusError(
            f"{address} refuses the credentials ({text}): put USER:PASSWORD@ or TOKEN@ before the host, "
            "or add ?creds=FILE"
        )
    if isinstance(error, ssl.SSLError):
        return BusError(
            f"{address} cannot be trusted ({text}): check its certificate, and name the authority that "
            "signed it with SSL_CERT_FILE; or write nats:// where nothing is to be encrypted"
        )
    return BusUnavailableError(f"{address} cannot be reached ({text})")
