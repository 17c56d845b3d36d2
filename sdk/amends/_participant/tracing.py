"""Spans for calls, by the OpenTelemetry API alone. Costs nothing until a tracer provider is configured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context as TraceContext

from amends._tracing.setting import exporting
from amends._tracing.traceparent import parent_context
from amends.errors import Fault
from amends.v1 import participant_pb2 as pb

_NOT_TRACED: Final = nullcontext()
_NOTHING: Final = TraceContext()
_TRACER: Final = trace.get_tracer("amends.participant")  # asks for the real one when there is one


def configured() -> bool:
    """Tells whether anybody collects spans."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def current() -> TraceContext | None:
    """The context of the running RPC, to be carried to where its handler runs."""
    return otel_context.get_current() if configured() else None


def within(context: TraceContext | None) -> AbstractContextManager[None]:
    """Runs a block in a trace context, which is needed where threads and tasks do not carry it along."""
    return _NOT_TRACED if context is None else _Within(context)


class _Within(AbstractContextManager[None]):
    """A class and no generator, which would take four times as long; every handler runs in one."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: TraceContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(self, *_error: object) -> None:
        otel_context.detach(self._token)


def attributes(request: pb.TryRequest | pb.CompensateRequest) -> dict[str, str | int]:
    """What every span of a call says about its saga."""
    return {
        "saga.id": request.saga_id,
        "saga.definition": request.definition,
        "saga.step": request.step,
        "saga.direction": "forward" if isinstance(request, pb.TryRequest) else "backward",
        "saga.attempt": request.attempt,
    }


def outcome_of(answer: pb.TryResponse | pb.CompensateResponse | Fault) -> str:
    """Names the outcome of a call in the words of the contract, or the status code it failed with."""
    if isinstance(answer, Fault):
        return answer.code.name
    return answer.WhichOneof("outcome") or "unknown"


def start_span(
    request: pb.TryRequest | pb.CompensateRequest, traceparent: str
) -> tuple[TraceContext, Callable[[pb.TryResponse | pb.CompensateResponse | Fault], None]]:
    """Begins the server span of a call that came on an exchange; returns its context and what ends it.

    It is named, and described, as the standard instrumentation does for a unary call.
    """
    parent = parent_context(traceparent) or _NOTHING
    method = "Try" if isinstance(request, pb.TryRequest) else "Compensate"
    span = _TRACER.start_span(
        f"/amends.v1.Participant/{method}",
        context=parent,
        kind=trace.SpanKind.SERVER,
        attributes={
            **attributes(request),
            "rpc.system": "grpc",
            "rpc.service": "amends.v1.Participant",
            "rpc.method": method,
        },
    )

    def end(answer: pb.TryResponse | pb.CompensateResponse | Fault) -> None:
        span.set_attribute("saga.outcome", outcome_of(answer))
        if isinstance(answer, Fault):
            span.set_status(trace.StatusCode.ERROR, str(answer))
        span.end()

    return trace.set_span_in_context(span, parent), end


__all__ = [
    "attributes",
    "configured",
    "current",
    "exporting",
    "outcome_of",
    "start_span",
    "within",
]
