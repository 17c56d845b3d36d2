"""The line to a coordinator: one channel, and calls that survive a coordinator's restart."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import grpc

from amends._client import _errors
from amends._client._outage import Outage
from amends._client._trace import trace_metadata
from amends.v1.coordinator_pb2_grpc import CoordinatorStub

if TYPE_CHECKING:
    from amends.v1.coordinator_pb2_grpc import CoordinatorAsyncStub

Q = TypeVar("Q")
R = TypeVar("R")

ANSWER_TIMEOUT = 10.0
"""Seconds for an answer that waits for nothing but the coordinator's disk; beyond that it is in trouble."""

_CHANNEL_OPTIONS = (
    # The coordinator bounds what it takes in, and what it keeps must be readable: a saga with many results
    # is larger than the 4 MiB that gRPC takes by default.
    ("grpc.max_receive_message_length", -1),
    # gRPC backs off for up to two minutes, which is how long a client would miss a coordinator that is back.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass(frozen=True, kw_only=True)
class ClientTls:
    """How a client proves whom it talks to, and who it is. All are paths of PEM files.

    Raises ``ValueError`` for a certificate without its key, or a key without its certificate.
    """

    ca: str | PathLike[str] | None = None
    """Certificates of the authorities that may vouch for the coordinator. None: the system's."""
    cert: str | PathLike[str] | None = None
    """The client's own certificate, where the coordinator asks for one."""
    key: str | PathLike[str] | None = None
    """The private key of the certificate."""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client certificate needs both cert and key")

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises ``OSError`` if one cannot be read."""
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


class Line:
    """A channel to a coordinator, opened by its first use, in the event loop of that use."""

    def __init__(self, target: str, tls: ClientTls | None, patience: float) -> None:
        self.target = target
        self._tls = tls
        self._patience = patience
        self._channel: grpc.aio.Channel | None = None
        self._stub: CoordinatorAsyncStub | None = None
        self._closed = False

    @property
    def stub(self) -> "CoordinatorAsyncStub":
        """The coordinator's methods. Raises ``RuntimeError`` once the line is closed."""
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._stub is None:
            self._channel = self._open()
            self._stub = CoordinatorStub(self._channel)
        return self._stub

    def _open(self) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(self.target, options=_CHANNEL_OPTIONS)
        return grpc.aio.secure_channel(self.target, self._tls.credentials(), options=_CHANNEL_OPTIONS)

    async def close(self) -> None:
        """Closes the channel; calls under way are cancelled. Does nothing the second time."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    def outage(self) -> Outage:
        """Returns an outage that has not begun."""
        return Outage(self._patience)

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Q, R],
        request: Q,
        *,
        repeatable: bool = True,
        wait: float = 0.0,
    ) -> R:
        """Calls until there is an answer.

        Args:
            method: a method of the stub.
            request: what to send.
            repeatable: whether the request may arrive twice.
            wait: seconds that the request itself asks the coordinator to wait.

        Raises ``CallError``.
        """
        outage = self.outage()
        while True:
            try:
                return await method(request, timeout=wait + ANSWER_TIMEOUT, metadata=trace_metadata())
            except grpc.aio.AioRpcError as error:
                failure = _errors.from_call(error, self.target)
            await outage.endure(failure, repeatable=repeatable)


def _read(path: str | PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
