"""Whether the standard OTEL_* variables ask for spans, and what a serving process does about it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

_log = logging.getLogger("amends.tracing")


def asked_for() -> bool:
    """Tells whether the standard variables ask for spans.

    They do if OTEL_TRACES_EXPORTER says otlp, or if it is not set and OTEL_EXPORTER_OTLP_ENDPOINT or
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is; unless OTEL_SDK_DISABLED is true.
    """
    if _variable("OTEL_SDK_DISABLED").lower() == "true":
        return False
    exporters = {name.strip() for name in _variable("OTEL_TRACES_EXPORTER").lower().split(",")} - {""}
    if exporters:
        other = ", ".join(sorted(exporters - {"otlp", "none"}))
        if other:
            _log.warning("OTEL_TRACES_EXPORTER says %s, but only otlp is supported", other)
        return "otlp" in exporters
    return bool(_of_traces("ENDPOINT"))


def warn_of_protocol() -> None:
    """Says so where the variables ask for another protocol than the one there is."""
    protocol = _of_traces("PROTOCOL")
    if protocol not in ("", "grpc"):
        _log.warning("OTEL_EXPORTER_OTLP_PROTOCOL says %s, but spans are exported by grpc", protocol)


@contextmanager
def exporting(service: str) -> Iterator[None]:
    """Has this process export its spans while it serves, if the standard variables ask for that.

    A tracer provider that is configured already stays as it is. Spans that ended before this does are
    exported, if a collector takes them within two seconds.

    Args:
        service: names this process to the collector, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES do.
    """
    if not asked_for() or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield
        return
    try:
        # Imported here: it takes a while, and the packages need not be there.
        from amends._tracing.provider import ExportingProvider
    except ImportError as error:
        _log.warning(
            "the OTEL_* variables ask for spans, but %s is not installed: pip install 'amends[tracing]'",
            error.name,
        )
        yield
        return
    provider = ExportingProvider(service)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def _of_traces(name: str) -> str:
    return _variable(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or _variable(f"OTEL_EXPORTER_OTLP_{name}")


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
