"""The trace that a call belongs to, for the coordinator to continue. Nothing where nothing is traced."""

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# The contract speaks W3C whatever propagator the process is configured with.
_PROPAGATOR = TraceContextTextMapPropagator()


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """Returns the current trace context as gRPC metadata."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return tuple(carrier.items())


def traceparent() -> str:
    """Returns the current trace context as a traceparent; empty where nothing is traced."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")
