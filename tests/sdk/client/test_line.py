"""Encryption, and the trace that a call carries."""

from pathlib import Path

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from amends import Client, ClientTls, Definition, Unavailable
from tests.sdk.client.fake_coordinator import FakeCoordinator, FakeServer

SPAN = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
TRACEPARENT = f"00-{0xABC:032x}-{0xDEF:016x}-01"


CERTIFICATES = Path(__file__).parent.parent / "participant" / "certificates"


async def test_mutual_tls(order: Definition) -> None:
    """With its certificate a client reaches a coordinator that asks for one; without, it does not."""
    key, cert, authority = (
        (CERTIFICATES / name).read_bytes() for name in ("server.key", "server.pem", "client.pem")
    )
    server = FakeServer(grpc.ssl_server_credentials([(key, cert)], authority, require_client_auth=True))
    await server.start()
    ca = CERTIFICATES / "server.pem"
    known = ClientTls(ca=ca, cert=CERTIFICATES / "client.pem", key=CERTIFICATES / "client.key")
    async with Client(server.target, tls=known) as client:
        assert (await client.start(order, saga_id="order-1")).id == "order-1"
    async with Client(server.target, tls=ClientTls(ca=ca), patience=0) as stranger:
        with pytest.raises(Unavailable):
            await stranger.get("order-1")
    await server.stop()


def test_certificate_without_key_is_refused() -> None:
    """Half of a client certificate is a mistake."""
    with pytest.raises(ValueError, match="both cert and key"):
        ClientTls(cert="cert.pem")


async def test_start_carries_the_current_trace(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """The saga continues the trace in which it was started."""
    with trace.use_span(SPAN):
        await client.start(order)
    assert coordinator.metadata["traceparent"] == TRACEPARENT


async def test_start_on_a_stream_carries_its_own_trace(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Starts that share a stream keep the traces of their callers."""
    async with client.starter() as starter:
        with trace.use_span(SPAN):
            await starter.start(order, saga_id="traced")
        await starter.start(order, saga_id="untraced")
    assert coordinator.sagas["traced"].traceparent == TRACEPARENT
    assert coordinator.sagas["untraced"].traceparent == ""


async def test_nothing_is_carried_where_nothing_is_traced(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Without a trace there is no metadata about one."""
    await client.start(order)
    assert "traceparent" not in coordinator.metadata
