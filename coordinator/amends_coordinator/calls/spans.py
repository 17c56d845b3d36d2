"""A span for every attempt, as a child of the saga's trace.

Costs nothing until a tracer provider is configured, by the standard OTEL_* variables.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry import trace
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from amends._tracing.traceparent import format_traceparent, parse_traceparent
from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.core.outcomes import Outcome, Refused, Unknown
from amends_coordinator.core.values import Direction

if TYPE_CHECKING:
    from amends._tracing.light import LightSpan
    from amends._tracing.provider import ExportingProvider

PARENTS_REMEMBERED = 8_192
"""Sagas whose trace is remembered from attempt to attempt, while as many others make theirs."""

_NOT_TRACED: AbstractContextManager[Any] = nullcontext()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SERVICE = "amends.v1.Participant"


class Spans:
    """Begins and ends the spans of attempts."""

    def __init__(self, provider: "ExportingProvider | None" = None) -> None:
        """Traces with a provider, or not at all."""
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("amends.coordinator")

    def begin(self, attempt: Attempt) -> None:
        """Begins the span of an attempt that is about to leave."""
        if self._tracer is None:
            return
        saga, step = attempt.saga, attempt.step
        forward = attempt.direction is Direction.FORWARD
        attempt.span = self._tracer.begin(
            f"Try {step.name}" if forward else f"Compensate {step.name}",
            _parent(saga.traceparent, saga.id),
            SpanKind.INTERNAL,
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
        span: LightSpan | None = attempt.span
        if span is None:
            return
        attempt.span = None
        span.attributes["saga.outcome"] = outcome_name(outcome)
        if span.kind is SpanKind.CLIENT:  # an RPC of its own has a span that says all this
            span.attributes["rpc.system"] = "grpc"
            span.attributes["rpc.service"] = _SERVICE
            span.attributes["rpc.method"] = "Try" if attempt.direction is Direction.FORWARD else "Compensate"
            span.attributes["peer.service"] = attempt.step.participant
        if isinstance(outcome, Unknown):
            span.set_status(StatusCode.ERROR, outcome.message)
        elif isinstance(outcome, Refused):
            span.set_status(StatusCode.ERROR, outcome.refusal.message)
        span.end()

    def current(self, attempt: Attempt) -> AbstractContextManager[Any]:
        """Makes the span of an attempt the current one, so that the span of its RPC becomes its child."""
        span: LightSpan | None = attempt.span
        if span is None:
            return _NOT_TRACED
        span.kind = SpanKind.INTERNAL
        return trace.use_span(span, record_exception=False, set_status_on_exception=False)

    def traceparent(self, attempt: Attempt) -> str:
        """Tells what a participant on the other end of a stream has to continue; empty without a trace.

        The span then stands for the call itself, as that of a unary RPC does.
        """
        span: LightSpan | None = attempt.span
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
        span = self._tracer.begin(f"saga {definition}", None, SpanKind.INTERNAL, attributes)
        span.end()
        return format_traceparent(span.context)

    def interceptors(self) -> Sequence[grpc.aio.ClientInterceptor]:
        """The interceptors of a channel: the standard instrumentation, on the calls of steps.

        Those are Try and Compensate, and with plain methods whatever a service calls its own. What the
        coordinator asks for itself, it asks outside of any saga.
        """
        if self._provider is None:
            return ()
        # Imported late: it takes longer than everything else here, and most daemons do without.
        from opentelemetry.instrumentation.grpc import aio_client_interceptors, filters

        asked = filters.any_of(
            filters.full_method_name(f"/{_SERVICE}/Describe"), filters.service_prefix("grpc.reflection.")
        )
        found = aio_client_interceptors(  # type: ignore[no-untyped-call]
            tracer_provider=self._provider, filter_=filters.negate(asked)
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


@lru_cache(PARENTS_REMEMBERED)
def _parent(traceparent: str, saga_id: str) -> SpanContext:
    """What the spans of a saga's attempts continue.

    A saga has no traceparent if nothing was traced when it was started. All its attempts are in one trace all
    the same: they continue a span that nobody made.
    """
    found = parse_traceparent(traceparent)
    if found is not None:
        return found
    digest = blake2b(saga_id.encode(), digest_size=24).digest()
    return SpanContext(int.from_bytes(digest[:16]), int.from_bytes(digest[16:]), True, _SAMPLED)


def outcome_name(outcome: Outcome) -> str:
    """Names an outcome as metrics and spans do."""
    return type(outcome).__name__.lower()


__all__ = ["Spans", "format_traceparent", "outcome_name", "parse_traceparent"]
