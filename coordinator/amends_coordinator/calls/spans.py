"""A span for every attempt, as a child of the saga's trace.

Costs nothing until a tracer provider is configured, by the standard OTEL_* variables.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.core.outcomes import Outcome, Refused, Unknown
from amends_coordinator.core.values import Direction

_NOTHING: AbstractContextManager[Any] = nullcontext()


class Spans:
    """Begins and ends the spans of attempts."""

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        """Traces with a provider, or not at all."""
        self._tracer = None if provider is None else provider.get_tracer("amends.coordinator")
        self._provider = provider

    def begin(self, attempt: Attempt) -> None:
        """Begins the span of an attempt that is about to leave."""
        if self._tracer is None:
            return
        saga, step = attempt.saga, attempt.step
        forward = attempt.direction is Direction.FORWARD
        attempt.span = self._tracer.start_span(
            f"{'Try' if forward else 'Compensate'} {step.name}",
            context=parent_context(saga.traceparent),
            kind=SpanKind.INTERNAL,
            attributes={
                "saga.id": saga.id,
                "saga.definition": saga.definition.name,
                "saga.step": step.name,
                "saga.direction": "forward" if forward else "backward",
                "saga.attempt": attempt.number,
            },
        )

    def end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Ends the span of an attempt; it is exported now, not when the saga ends."""
        span = attempt.span
        if span is None:
            return
        span.set_attribute("saga.outcome", outcome_name(outcome))
        if isinstance(outcome, Unknown):
            span.set_status(Status(StatusCode.ERROR, outcome.message))
        elif isinstance(outcome, Refused):
            span.set_status(Status(StatusCode.ERROR, outcome.refusal.message))
        span.end()
        attempt.span = None

    def current(self, attempt: Attempt) -> AbstractContextManager[Any]:
        """Makes the span of an attempt the current one, so that the spans of its RPC become its children."""
        return _NOTHING if attempt.span is None else trace.use_span(attempt.span, end_on_exit=False)

    def traceparent(self, attempt: Attempt) -> str:
        """Tells what a participant on the other end of a stream has to continue; empty without a trace."""
        if attempt.span is None:
            return attempt.saga.traceparent
        return format_traceparent(attempt.span.get_span_context())

    def root(self, definition: str, saga_id: str) -> str:
        """Begins the trace of a saga whose client brought none; empty if nothing is traced."""
        if self._tracer is None:
            return ""
        attributes = {"saga.id": saga_id, "saga.definition": definition}
        span = self._tracer.start_span(f"saga {definition}", attributes=attributes)
        span.end()
        return format_traceparent(span.get_span_context())

    def interceptors(self) -> Sequence[grpc.aio.ClientInterceptor]:
        """The interceptors of a channel: the standard instrumentation, on unary calls."""
        if self._provider is None:
            return ()
        # Imported late: it takes longer than everything else here, and most daemons do without.
        from opentelemetry.instrumentation.grpc import aio_client_interceptors

        found = aio_client_interceptors(tracer_provider=self._provider)  # type: ignore[no-untyped-call]
        return [each for each in found if isinstance(each, grpc.aio.UnaryUnaryClientInterceptor)]

    def server_interceptors(self) -> Sequence[grpc.aio.ServerInterceptor]:
        """The interceptors of a server: the standard instrumentation."""
        if self._provider is None:
            return ()
        from opentelemetry.instrumentation.grpc import aio_server_interceptor

        interceptor = aio_server_interceptor(tracer_provider=self._provider)  # type: ignore[no-untyped-call]
        return (interceptor,)


def outcome_name(outcome: Outcome) -> str:
    """Names an outcome as metrics and spans do."""
    return type(outcome).__name__.lower()


def format_traceparent(context: SpanContext) -> str:
    """Writes a W3C traceparent header."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parse_traceparent(header: str) -> SpanContext | None:
    """Reads a W3C traceparent header; None if it is none (https://www.w3.org/TR/trace-context/)."""
    parts = header.split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    except ValueError:
        return None
    if not trace_id or not span_id:
        return None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))


def parent_context(traceparent: str) -> Any:
    """Makes the context whose children continue a traceparent; None starts a trace of its own."""
    context = parse_traceparent(traceparent)
    return None if context is None else trace.set_span_in_context(NonRecordingSpan(context))
