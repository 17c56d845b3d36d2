"""Sends the spans of a service to a collector, where the standard variables name one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def traced(service: str) -> Iterator[None]:
    """Exports what the service does by OTLP; does nothing unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

    A participant needs no more than this: its calls are spans in the trace of their saga as soon as there
    is a tracer provider.
    """
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        yield
        return
    # Imported here: without a collector nobody should wait for them to load.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
