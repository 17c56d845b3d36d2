"""Which calls of a coordinator have their own span: those of steps, whatever their methods are named."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind

from amends._tracing.light import LightSpan, LightTracer
from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.calls.spans import Spans
from amends_coordinator.core.outcomes import Succeeded
from amends_coordinator.core.values import Direction
from tests.calls.fake_participant import one_step

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


class Provider(TracerProvider):
    """Keeps the spans that ended."""

    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)
        self.ended: list[LightSpan] = []

    def get_tracer(self, name: str, *_more: Any, **_options: Any) -> LightTracer:
        return LightTracer(InstrumentationScope(name), self, self.ended.append)


class AnyMethod(grpc.GenericRpcHandler):
    """Offers every method there can be, and answers with nothing; ``metadata`` is that of the last call."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}

    def service(self, handler_call_details: Any) -> Any:
        self.metadata = dict(handler_call_details.invocation_metadata)
        if handler_call_details.method.startswith(f"/{REFLECTION}/"):
            return grpc.stream_stream_rpc_method_handler(_nothing_more)
        return grpc.unary_unary_rpc_method_handler(_nothing)


async def _nothing(_request: bytes, _context: Any) -> bytes:
    return b""


async def _nothing_more(_requests: Any, _context: Any) -> AsyncIterator[bytes]:
    yield b""


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def spans(provider: Provider) -> Spans:
    return Spans(provider)  # type: ignore[arg-type] # it needs the tracer alone


@pytest.fixture
def server() -> AnyMethod:
    return AnyMethod()


@pytest.fixture
async def channel(spans: Spans, server: AnyMethod) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the server as the coordinator opens them."""
    running = grpc.aio.server()
    running.add_generic_rpc_handlers((server,))
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    interceptors = spans.interceptors()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel:
        yield channel
    await running.stop(None)


def attempt() -> Attempt:
    return Attempt(one_step("saga-1"), 0, Direction.FORWARD, 1, lambda _attempt, _outcome: None)


@pytest.mark.parametrize(
    ("service", "method"),
    [
        ("shop.v1.Shipping", "ShipOrder"),
        ("shop.v1.Museum", "Describe"),  # a name that others may use too
        ("amends.v1.Participant", "Try"),
        ("amends.v1.Participant", "Compensate"),
    ],
)
async def test_a_call_of_a_step_has_a_span_below_that_of_its_attempt(
    spans: Spans, provider: Provider, channel: grpc.aio.Channel, server: AnyMethod, service: str, method: str
) -> None:
    """It tells service and method, and the server is told to continue it."""
    called = attempt()
    spans.begin(called)
    with spans.current(called):
        await channel.unary_unary(f"/{service}/{method}")(b"")
    spans.end(called, Succeeded(None))
    of_call, of_attempt = provider.ended
    assert (of_call.kind, of_attempt.kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    assert of_call.parent == of_attempt.context
    assert (of_call.attributes["rpc.service"], of_call.attributes["rpc.method"]) == (service, method)
    assert not any(name.startswith("rpc.") for name in of_attempt.attributes)
    _, trace, parent, _ = server.metadata["traceparent"].split("-")
    assert (int(trace, 16), int(parent, 16)) == (of_call.context.trace_id, of_call.context.span_id)


async def test_what_the_coordinator_asks_for_itself_has_no_span(
    provider: Provider, channel: grpc.aio.Channel, server: AnyMethod
) -> None:
    """Descriptions, and descriptors by either version of reflection, however a server offers it."""
    await channel.unary_unary("/amends.v1.Participant/Describe")(b"")
    await channel.unary_unary("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(b"")
    stream = channel.stream_stream(f"/{REFLECTION}/ServerReflectionInfo")()
    await stream.write(b"")
    assert await stream.read() == b""
    assert provider.ended == []
    assert "traceparent" not in server.metadata


def test_an_attempt_on_a_stream_stands_for_its_call(spans: Spans, provider: Provider) -> None:
    """Nothing on the wire is its own, so its span says which method it was."""
    called = attempt()
    spans.begin(called)
    spans.traceparent(called)
    spans.end(called, Succeeded(None))
    (span,) = provider.ended
    assert span.kind is SpanKind.CLIENT
    assert (span.attributes["rpc.service"], span.attributes["rpc.method"]) == ("amends.v1.Participant", "Try")
