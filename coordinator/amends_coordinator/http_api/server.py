"""The HTTP server, and its port."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvicorn

from amends.errors import StartError
from amends_coordinator.api.service import CoordinatorService
from amends_coordinator.http_api.converting import Converter
from amends_coordinator.http_api.door import Door
from amends_coordinator.http_api.endpoints import Application

MAX_CONNECTIONS: Final = 256
"""Connections at one time: whoever comes then gets the status 503. Clients of many connections should use
gRPC; this bounds what their bodies and sockets take from it."""


class HttpServer:
    """Serves the unary methods of a coordinator as JSON.

    The port is taken when it is made; whoever connects then waits until it runs.

    Raises:
        StartError: the address or a file of a certificate cannot be had.
    """

    def __init__(
        self,
        service: CoordinatorService,
        address: str,
        *,
        cert: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        grace: float,
    ) -> None:
        """Takes the address, HOST:PORT.

        Args:
            service: what answers.
            address: where to listen; port 0 takes any free one.
            cert: PEM file of the certificate chain; with it, clients must use TLS.
            key: PEM file of its private key.
            client_ca: PEM file of the authorities of client certificates; with it, clients must show one.
            grace: seconds that requests under way get to end by themselves when it stops.
        """
        self._grace = grace
        self._ended = asyncio.Event()
        self._running = False
        self._converter = Converter()
        application = Application(service, self._converter)
        config = uvicorn.Config(
            Door(application),
            http="h11",
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=max(1, round(grace)),
            ssl_certfile=cert,
            ssl_keyfile=key,
            ssl_ca_certs=None if client_ca is None else str(client_ca),
            ssl_cert_reqs=ssl.CERT_NONE if client_ca is None else ssl.CERT_REQUIRED,
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            raise StartError(f"cannot serve {address} by TLS with {cert} and {key}: {error}") from error
        self._server = _Server(config)
        self._socket = _listen(address)
        host = address.rpartition(":")[0]
        scheme = "http" if cert is None else "https"
        self.url = f"{scheme}://{host}:{self._socket.getsockname()[1]}{application.path}/"

    async def run(self) -> None:
        """Serves until it is stopped."""
        self._running = True
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Takes no more requests, and lets those under way come to an end, within its grace."""
        self._server.should_exit = True
        if self._running:
            await self._ended.wait()

    def close(self) -> None:
        """Gives the port back, and what else it holds."""
        self._converter.close()
        self._socket.close()


class _Server(uvicorn.Server):
    """Leaves signals to the daemon, which has more to stop than this."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        family, *_, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(place[:2], family=family)
    except OSError as error:
        raise StartError(
            f"cannot serve HTTP at {address}: {error.strerror}; choose another address with --http"
        ) from error
