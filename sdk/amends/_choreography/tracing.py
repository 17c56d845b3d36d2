"""Spans for events, after OpenTelemetry's conventions for messaging. Free until somebody collects them.

An event has a `create` span when it is put into the outbox, whose context travels with it; a `publish` span
when it leaves, linked to that; and a `process` span where it is dealt with, which continues it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import Link, SpanKind

from amends._choreography.disposition import Disposition
from amends._participant.tracing import configured
from amends._tracing.traceparent import format_traceparent, parent_context, parse_traceparent

_TRACER: Final = trace.get_tracer("amends.choreography")


@contextmanager
def created(name: str, saga_id: str, step: str) -> Iterator[str]:
    """Makes the `create` span of an event; gives the traceparent that travels with it."""
    if not configured():
        yield ""
        return
    attributes = {**_of_saga(saga_id, step), **_operation("create", name)}
    with _TRACER.start_as_current_span(
        f"create {name}", kind=SpanKind.PRODUCER, attributes=attributes
    ) as span:
        yield format_traceparent(span.get_span_context())


@contextmanager
def published(bus: str, traceparents: Sequence[str]) -> Iterator[None]:
    """Makes the `publish` span of some events that leave together."""
    if not configured():
        yield
        return
    contexts = [context for context in map(parse_traceparent, traceparents) if context is not None]
    attributes: dict[str, str | int] = {
        "messaging.system": bus.partition(":")[0],
        "messaging.operation.type": "send",
        "messaging.operation.name": "publish",
        "messaging.batch.message_count": len(traceparents),
    }
    links = [Link(context) for context in contexts]
    with _TRACER.start_as_current_span("publish", kind=SpanKind.CLIENT, attributes=attributes, links=links):
        yield


def begin_processing(
    name: str, service: str, saga_id: str, traceparent: str
) -> tuple[TraceContext | None, trace.Span | None]:
    """Begins the `process` span of an event; returns its context and what `end_processing` takes."""
    if not configured():
        return None, None
    parent = parent_context(traceparent) or TraceContext()
    created = parse_traceparent(traceparent)
    span = _TRACER.start_span(
        f"process {name}",
        context=parent,
        kind=SpanKind.CONSUMER,
        links=[Link(created)] if created is not None else [],
        attributes={
            **_of_saga(saga_id, ""),
            **_operation("process", name),
            "messaging.consumer.group.name": service,
        },
    )
    return trace.set_span_in_context(span, parent), span


def end_processing(span: trace.Span | None, disposition: Disposition | None) -> None:
    """Ends it, and says what became of the event; None where the database took nothing."""
    if span is None:
        return
    span.set_attribute("amends.disposition", "given back" if disposition is None else disposition.value)
    if disposition is Disposition.DEAD:
        span.set_status(trace.StatusCode.ERROR, "a dead letter says why")
    span.end()


def _operation(what: str, event: str) -> dict[str, str]:
    return {
        "messaging.operation.type": what,
        "messaging.operation.name": what,
        "messaging.destination.name": event,
    }


def _of_saga(saga_id: str, step: str) -> dict[str, str]:
    found = {"messaging.message.conversation_id": saga_id, "saga.id": saga_id}
    if step:
        found["saga.step"] = step
    return found
