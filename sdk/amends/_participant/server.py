"""A gRPC server for a participant: address, TLS, health, reflection, tracing."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from amends._participant import tracing
from amends._participant.service import ParticipantService
from amends.errors import StartError
from amends.v1 import participant_pb2, participant_pb2_grpc

RECEIVE_BYTES_MAX: Final = 16 << 20
"""The greatest message taken: an input and the results of a dozen steps, 1 MiB each."""

PING_INTERVAL_MS_MIN: Final = 10_000
"""How often a caller may ask whether the connection lives; five minutes, as usual, would cut many off."""

SERVICE_NAME: Final = participant_pb2.DESCRIPTOR.services_by_name["Participant"].full_name


@dataclass(frozen=True, kw_only=True)
class ServerTls:
    """How a server proves who it is and, with mutual TLS, who may call."""

    cert: Path | str
    """The file with the server's certificate chain, PEM."""
    key: Path | str
    """The file with its private key, PEM."""
    client_ca: Path | str | None = None
    """The file with the authorities whose client certificates are accepted, PEM. None: none is asked for."""

    def credentials(self) -> grpc.ServerCredentials:
        """Reads the files.

        Raises:
            StartError: a file cannot be read.
        """
        pair = (_read(self.key), _read(self.cert))
        if self.client_ca is None:
            return grpc.ssl_server_credentials([pair])
        return grpc.ssl_server_credentials(
            [pair], root_certificates=_read(self.client_ca), require_client_auth=True
        )


class Server:
    """A bound server. Give it a service, start it, stop it."""

    def __init__(self, service: ParticipantService) -> None:
        self._service = service
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=_interceptors(),
            options=(
                # Without this two processes may listen at one port, each getting half of the calls.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
                ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
            ),
        )
        participant_pb2_grpc.add_ParticipantServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self, address: str, tls: ServerTls | None) -> int:
        """Listens at an address and returns the port. Raises StartError."""
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, tls.credentials())
        except RuntimeError as error:
            raise StartError(
                f"cannot listen at {address}: the port is in use, or the address is not this machine's"
            ) from error
        await self._server.start()
        for name in ("", SERVICE_NAME):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace: float) -> None:
        """Takes no new calls, and waits at most `grace` seconds for those that were taken."""
        await self._health.enter_graceful_shutdown()
        self._service.stop_reading()
        await self._server.stop(grace)


def _interceptors() -> list[Any]:
    """The standard spans of unary calls, where somebody collects them and the package for it is installed."""
    if not tracing.configured() or importlib.util.find_spec("opentelemetry.instrumentation.grpc") is None:
        return []
    from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

    # The stream lives as long as its connection, and its calls have spans of their own; health checks and the
    # like are part of no saga.
    of_sagas = filters.any_of(filters.method_name("Try"), filters.method_name("Compensate"))
    return [aio_server_interceptor(filter_=of_sagas)]  # type: ignore[no-untyped-call]


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from error
