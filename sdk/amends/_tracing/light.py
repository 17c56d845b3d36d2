"""Spans that begin and end in microseconds.

A span of the OpenTelemetry SDK takes thirty of them, for locks and limits that strangers may need; a saga has
six spans. These are a few values, encoded later by the thread that exports. What belongs to one call belongs
to one task or thread at a time, so there are no locks.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, SamplingResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

_UNSET: Final = Status()
_INHERITED: Final = 0x02
"""The flags that hold for a whole trace: so far, that its id is random."""


class LightTracer(trace.Tracer):
    """Makes spans with the sampler, the ids and the resource of a provider."""

    def __init__(
        self, scope: InstrumentationScope, provider: TracerProvider, record: Callable[[LightSpan], None]
    ) -> None:
        """Makes a tracer; ``record`` is given the spans that were sampled, as they end."""
        self._scope = scope
        self._resource = provider.resource
        self._sampler = provider.sampler
        # What such a sampler says of a child is what its parent says: it need not be asked.
        self._parent_decides = type(provider.sampler) is ParentBased
        self._ids = provider.id_generator
        self.record = record

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> LightSpan:
        """Begins a span, as a child of the one in the context."""
        parent = trace.get_current_span(context).get_span_context()
        span = self.begin(name, parent if parent.is_valid else None, kind, dict(attributes or {}), links)
        if start_time is not None:
            span.started = start_time
        return span

    def begin(
        self,
        name: str,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link] | None = None,
    ) -> LightSpan:
        """Begins a span, as a child of this one or as a root. The attributes are the span's from now on."""
        state: TraceState | None
        if parent is not None and self._parent_decides:
            flags, state = parent.trace_flags, parent.trace_state
            trace_id = parent.trace_id
        else:
            trace_id = self._ids.generate_trace_id() if parent is None else parent.trace_id
            context = trace.set_span_in_context(NonRecordingSpan(parent or INVALID_SPAN_CONTEXT), Context())
            sampling = self._sampler.should_sample(context, trace_id, name, kind, attributes, links)
            flags, state = _flags(parent, sampling), sampling.trace_state
            attributes = dict(sampling.attributes)
        ids = SpanContext(trace_id, self._ids.generate_span_id(), False, flags, state)
        return LightSpan(self, name, ids, parent, kind, attributes, list(links or ()))

    @contextmanager
    def start_as_current_span(  # type: ignore[override] # a plain context manager is enough here
        self, name: str, *args: Any, end_on_exit: bool = True, **more: Any
    ) -> Iterator[trace.Span]:
        """Begins a span and makes it the current one."""
        with trace.use_span(self.start_span(name, *args, **more), end_on_exit) as span:
            yield span

    def readable(self, span: LightSpan) -> ReadableSpan:
        """Makes of a span what it would be if it were one of the SDK's."""
        return ReadableSpan(
            span.name,
            context=span.context,
            parent=span.parent,
            resource=self._resource,
            attributes=span.attributes,
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.started,
            end_time=span.ended,
            instrumentation_scope=self._scope,
        )


def _flags(parent: SpanContext | None, sampling: SamplingResult) -> TraceFlags:
    flags = 0 if parent is None else parent.trace_flags & _INHERITED
    if sampling.decision is Decision.RECORD_AND_SAMPLE:
        flags |= TraceFlags.SAMPLED
    return TraceFlags(flags)


class LightSpan(trace.Span):
    """A span; see `opentelemetry.trace.Span` for what its methods are for."""

    __slots__ = (
        "attributes",
        "context",
        "ended",
        "events",
        "kind",
        "links",
        "name",
        "parent",
        "started",
        "status",
        "tracer",
    )

    def __init__(
        self,
        tracer: LightTracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: list[Link],
    ) -> None:
        self.tracer = tracer
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind  # may be set until it ends
        self.attributes = attributes
        self.events: list[Event] = []
        self.links = links
        self.status = _UNSET
        self.started = time.time_ns()
        self.ended = 0

    def end(self, end_time: int | None = None) -> None:
        if self.ended:
            return
        self.ended = time.time_ns() if end_time is None else end_time
        if self.context.trace_flags.sampled:
            self.tracer.record(self)

    def get_span_context(self) -> SpanContext:
        return self.context

    def is_recording(self) -> bool:
        return not self.ended and self.context.trace_flags.sampled

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.attributes.update(attributes)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        self.events.append(Event(name, attributes, timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        self.links.append(Link(context, attributes))

    def update_name(self, name: str) -> None:
        self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self.status.status_code is not StatusCode.OK:  # which is final, says the specification
            self.status = Status(status, description) if isinstance(status, StatusCode) else status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        found = {
            "exception.type": type(exception).__qualname__,
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
            **(attributes or {}),
        }
        self.add_event("exception", found, timestamp)
