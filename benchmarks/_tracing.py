"""Tracing with a real exporter: the collector that it exports to, and the exporter of the load.

``python -m benchmarks._tracing`` serves the collector. It decodes every span, as a real one must, and says
how many there were when it is ended.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks._workspace import announce_and_wait

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The standard variable that switches tracing on and says where spans go."""


@contextmanager
def exporting(service: str, endpoint: str) -> Iterator[None]:
    """Has this process export its spans to an endpoint, in the way that OpenTelemetry recommends."""
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


class Collector(pb_grpc.TraceServiceServicer):
    """Counts spans."""

    def __init__(self) -> None:
        self.spans = 0

    async def Export(  # noqa: N802
        self, request: pb.ExportTraceServiceRequest, context: object
    ) -> pb.ExportTraceServiceResponse:
        """Takes spans."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += len(scope.spans)
        return pb.ExportTraceServiceResponse()


async def _serve() -> None:
    collector = Collector()
    server = grpc.aio.server()
    pb_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await announce_and_wait("collector", f"127.0.0.1:{port}")
    await server.stop(1)
    print(collector.spans)


if __name__ == "__main__":
    asyncio.run(_serve())
