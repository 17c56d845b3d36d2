"""A tracer provider that exports by OTLP, at a price that every attempt of every saga can pay.

Imported only where spans are exported: it needs the packages of the extra ``tracing``.

It is made of the parts of the OpenTelemetry SDK, but for this: spans are `light`; shutting down
takes seconds, whatever the collector does; and an exporter that fails says so now and then, not all the time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from amends._tracing.encoding import request_of
from amends._tracing.light import LightSpan, LightTracer
from amends._tracing.setting import warn_of_protocol

QUEUE_SIZE: Final = 16_384
"""Spans that may wait for the collector before the oldest are dropped, unless OTEL_BSP_MAX_QUEUE_SIZE says
otherwise: a coordinator at full speed ends 5,000 a second, and a collector may be busy for three. The usual
2,048 would be full in less than half a second."""

SHUTDOWN_GRACE_S: Final = 2.0
"""How long a collector may take for the last spans when the process ends."""

COMPLAINT_INTERVAL_S: Final = 300.0
"""How often the same complaint about a collector is logged."""


class ExportingProvider(TracerProvider):
    """Exports spans as the standard OTEL_* variables say."""

    def __init__(self, service: str) -> None:
        """Begins to export.

        Args:
            service: names this process to the collector, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES
                do.
        """
        warn_of_protocol()
        _complain_rarely()
        super().__init__(resource=_resource(service), shutdown_on_exit=False)
        self._exporter = _Exporter()
        queue_size = None if os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE) else QUEUE_SIZE
        self._batches = BatchSpanProcessor(self._exporter, max_queue_size=queue_size)
        self.add_span_processor(self._batches)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> LightTracer:
        """Makes a tracer whose spans cost little."""
        scope = InstrumentationScope(
            instrumenting_module_name, instrumenting_library_version or "", schema_url, attributes
        )
        return LightTracer(scope, self, self._record)

    def _record(self, span: LightSpan) -> None:
        self._batches.on_end(span)  # type: ignore[arg-type] # it looks at the context, which both have

    def shutdown(self) -> None:
        """Exports what has ended, for at most two seconds, and stops."""
        giving_up = threading.Timer(SHUTDOWN_GRACE_S, self._exporter.shutdown)
        giving_up.daemon = True
        giving_up.start()
        super().shutdown()
        giving_up.cancel()


class _Exporter(OTLPSpanExporter):
    """Encodes fast, and can be shut down in the middle of an export and twice."""

    _closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._closed:
            return SpanExportResult.FAILURE
        try:
            return super().export(spans)
        except Exception:
            if not self._closed:
                raise
            return SpanExportResult.FAILURE  # the channel was closed under it, by shutdown

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        if not self._closed:
            self._closed = True
            super().shutdown(timeout_millis)

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        return request_of(data)


class _Rarely(logging.Filter):
    """Lets the same message through once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next.get(str(record.msg), 0.0):
            return False
        self._next[str(record.msg)] = now + COMPLAINT_INTERVAL_S
        return True


_RARELY: Final = _Rarely()


def _complain_rarely() -> None:
    for module in (OTLPExporterMixin.__module__, "opentelemetry.sdk._shared_internal"):
        logging.getLogger(module).addFilter(_RARELY)


def _resource(service: str) -> Resource:
    """What the variables say of this process, and its name where they say none."""
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    return resource
