"""A span for every attempt, as a child of the saga's trace.

Costs nothing until a tracer provider is configured, by the standard OTEL_* variables. And little then: a span
is a few values until its attempt ends, and only then becomes what OpenTelemetry exports. Tracer.start_span()
would take eight times as long, for locks and limits that a span needs which strangers may change.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from amends._participant.tracing.traceparent import format_traceparent, parent_context, parse_traceparent
from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.core.outcomes import Outcome, Refused, Unknown
from amends_coordinator.core.values import Direction

if TYPE_CHECKING:
    from amends._participant.tracing.provider import ExportingProvider

_NOTHING: AbstractContextManager[Any] = nullcontext()
_UNSET = Status()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_NO_PARENT = Context()  # whereas None would mean whatever span happens to be current
_SERVICE = "amends.v1.Participant"


@dataclass(slots=True, eq=False)
class OpenSpan:
    """A span that has begun."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    attributes: dict[str, Any]
    started: int  # nanoseconds since the epoch
    kind: SpanKind = SpanKind.INTERNAL


class Spans:
    """Begins and ends the spans of attempts."""

    def __init__(self, provider: "ExportingProvider | None" = None) -> None:
        """Traces with a provider, or not at all."""
        self._provider = provider
        self._tracer: Any = None if provider is None else _Tracer(provider)

    def begin(self, attempt: Attempt) -> None:
        """Begins the span of an attempt that is about to leave."""
        if self._tracer is None:
            return
        saga, step = attempt.saga, attempt.step
        forward = attempt.direction is Direction.FORWARD
        attempt.span = self._tracer.begin(
            f"Try {step.name}" if forward else f"Compensate {step.name}",
            saga.traceparent,
            {
                "saga.id": saga.id,
                "saga.definition": saga.definition.name,
                "saga.step": step.name,
                "saga.direction": "forward" if forward else "backward",
                "saga.attempt": attempt.number,
            },
        )

    def end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Ends the span of an attempt; it is exported now, not when the saga ends."""
        span: OpenSpan | None = attempt.span
        if span is None:
            return
        attempt.span = None
        span.attributes["saga.outcome"] = outcome_name(outcome)
        if span.kind is SpanKind.CLIENT:  # an RPC of its own has a span that says all this
            span.attributes["rpc.system"] = "grpc"
            span.attributes["rpc.service"] = _SERVICE
            span.attributes["rpc.method"] = "Try" if attempt.direction is Direction.FORWARD else "Compensate"
            span.attributes["peer.service"] = attempt.step.participant
        self._tracer.end(span, _status(outcome))

    def current(self, attempt: Attempt) -> AbstractContextManager[Any]:
        """Makes the span of an attempt the current one, so that the span of its RPC becomes its child."""
        span: OpenSpan | None = attempt.span
        if span is None:
            return _NOTHING
        span.kind = SpanKind.INTERNAL
        return trace.use_span(NonRecordingSpan(span.context), record_exception=False)

    def traceparent(self, attempt: Attempt) -> str:
        """Tells what a participant on the other end of a stream has to continue; empty without a trace.

        The span then stands for the call itself, as that of a unary RPC does.
        """
        span: OpenSpan | None = attempt.span
        if span is None:
            return attempt.saga.traceparent
        span.kind = SpanKind.CLIENT
        return format_traceparent(span.context)

    def root(self, definition: str, saga_id: str) -> str:
        """Begins the trace of a saga whose client brought none; empty if nothing is traced.

        A StartSaga has a span already, which is then what the attempts continue.
        """
        if self._tracer is None:
            return ""
        request = trace.get_current_span().get_span_context()
        if request.is_valid:
            return format_traceparent(request)
        attributes = {"saga.id": saga_id, "saga.definition": definition}
        span = self._tracer.begin(f"saga {definition}", "", attributes)
        self._tracer.end(span, _UNSET)
        return format_traceparent(span.context)

    def interceptors(self) -> Sequence[grpc.aio.ClientInterceptor]:
        """The interceptors of a channel: the standard instrumentation, on Try and Compensate."""
        if self._provider is None:
            return ()
        # Imported late: it takes longer than everything else here, and most daemons do without.
        from opentelemetry.instrumentation.grpc import aio_client_interceptors, filters

        called = filters.any_of(filters.method_name("Try"), filters.method_name("Compensate"))
        found = aio_client_interceptors(  # type: ignore[no-untyped-call]
            tracer_provider=self._provider, filter_=called
        )
        return [each for each in found if isinstance(each, grpc.aio.UnaryUnaryClientInterceptor)]

    def server_interceptors(self) -> Sequence[grpc.aio.ServerInterceptor]:
        """The interceptors of a server: the standard instrumentation, on what clients ask of sagas.

        Not on streams, which last as long as their client does and belong to no single saga, nor on health
        checks, which would bury everything else.
        """
        if self._provider is None:
            return ()
        from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

        asked = filters.all_of(
            filters.service_name("amends.v1.Coordinator"),
            filters.negate(
                filters.any_of(filters.method_name("StartSagas"), filters.method_name("WatchSaga"))
            ),
        )
        interceptor = aio_server_interceptor(  # type: ignore[no-untyped-call]
            tracer_provider=self._provider, filter_=asked
        )
        return (interceptor,)


class _Tracer:
    """Makes spans, with the sampler and the ids of a provider."""

    def __init__(self, provider: "ExportingProvider") -> None:
        # Imported here: most daemons trace nothing, and should not load what does.
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._span = ReadableSpan
        self._sampled = Decision.RECORD_AND_SAMPLE
        self._scope = InstrumentationScope("amends.coordinator")
        self._provider = provider
        self._ids = provider.id_generator
        self._sampler = provider.sampler

    def begin(self, name: str, traceparent: str, attributes: dict[str, Any]) -> OpenSpan:
        """Begins a span that continues a traceparent, or a trace of its own."""
        context = parent_context(traceparent)
        parent = None if context is None else trace.get_current_span(context).get_span_context()
        trace_id = _trace_of(attributes["saga.id"]) if parent is None else parent.trace_id
        sampling = self._sampler.should_sample(
            context or _NO_PARENT, trace_id, name, SpanKind.INTERNAL, attributes
        )
        flags = _SAMPLED if sampling.decision is self._sampled else _NOT_SAMPLED
        return OpenSpan(
            name,
            SpanContext(trace_id, self._ids.generate_span_id(), False, flags),
            parent,
            dict(sampling.attributes),
            time.time_ns(),
        )

    def end(self, span: OpenSpan, status: Status) -> None:
        """Ends a span and has it exported, if it was sampled."""
        if not span.context.trace_flags.sampled:
            return
        ended = self._span(
            span.name,
            context=span.context,
            parent=span.parent,
            resource=self._provider.resource,
            attributes=span.attributes,
            kind=span.kind,
            status=status,
            start_time=span.started,
            end_time=time.time_ns(),
            instrumentation_scope=self._scope,
        )
        self._provider.record(ended)


def _trace_of(saga_id: str) -> int:
    """The trace of a saga that has none in its log: always the same, so that all its attempts share it."""
    return int.from_bytes(blake2b(saga_id.encode(), digest_size=16).digest())


def _status(outcome: Outcome) -> Status:
    if isinstance(outcome, Unknown):
        return Status(StatusCode.ERROR, outcome.message)
    if isinstance(outcome, Refused):
        return Status(StatusCode.ERROR, outcome.refusal.message)
    return _UNSET


def outcome_name(outcome: Outcome) -> str:
    """Names an outcome as metrics and spans do."""
    return type(outcome).__name__.lower()


__all__ = ["Spans", "format_traceparent", "outcome_name", "parent_context", "parse_traceparent"]
