"""Encryption, and the trace that a call carries."""

import subprocess
from pathlib import Path

import grpc
import pytest
from fake_coordinator import FakeCoordinator, FakeServer
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from amends import Client, ClientTls, Definition, Unavailable

SPAN = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
TRACEPARENT = f"00-{0xABC:032x}-{0xDEF:016x}-01"


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem and key.pem of localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("pem")
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", *request.split(), "-addext", "subjectAltName=IP:127.0.0.1", *files]
    subprocess.run(command, check=True, capture_output=True)
    return folder


async def test_mutual_tls(pem: Path, order: Definition) -> None:
    """With its certificates a client reaches a coordinator that asks for one; without, it does not."""
    key, cert = (pem / "key.pem").read_bytes(), (pem / "cert.pem").read_bytes()
    server = FakeServer(grpc.ssl_server_credentials([(key, cert)], cert, require_client_auth=True))
    await server.start()
    both = ClientTls(ca=pem / "cert.pem", cert=pem / "cert.pem", key=pem / "key.pem")
    async with Client(server.target, tls=both) as client:
        assert (await client.start(order, saga_id="order-1")).id == "order-1"
    async with Client(server.target, tls=ClientTls(ca=pem / "cert.pem"), patience=0) as client:
        with pytest.raises(Unavailable):
            await client.get("order-1")
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
