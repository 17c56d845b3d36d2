"""Spans that begin and end in microseconds.

A span of the OpenTelemetry SDK takes thirty of them, for locks and limits that strangers may need; a saga has
six spans. These are a few values until they end, and only then become what is exported. What belongs to one
call belongs to one task or thread at a time, so there are no locks.
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
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

_UNSET: Final = Status()
_INHERITED: Final = 0x02
"""The flags that hold for a whole trace: so far, that its id is random."""


class LightTracer(trace.Tracer):
    """Makes spans with the sampler, the ids and the resource of a provider."""

    def __init__(self, name: str, provider: TracerProvider, record: Callable[[ReadableSpan], None]) -> None:
        """Makes a tracer; ``record`` is given the spans that were sampled, as they end."""
        self._scope = InstrumentationScope(name, "")
        self._resource = provider.resource
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        self._record = record

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
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        if parent is None or not parent.is_valid:
            parent = None
        trace_id = self._ids.generate_trace_id() if parent is None else parent.trace_id
        sampling = self._sampler.should_sample(context, trace_id, name, kind, attributes, links)
        flags = 0 if parent is None else parent.trace_flags & _INHERITED
        if sampling.decision is Decision.RECORD_AND_SAMPLE:
            flags |= TraceFlags.SAMPLED
        span_id = self._ids.generate_span_id()
        ids = SpanContext(trace_id, span_id, False, TraceFlags(flags), sampling.trace_state)
        span = LightSpan(self, name, ids, parent, kind, dict(sampling.attributes))
        span.links.extend(links or ())
        if start_time is not None:
            span.started = start_time
        return span

    @contextmanager
    def start_as_current_span(  # type: ignore[override] # a plain context manager is enough here
        self, name: str, *args: Any, end_on_exit: bool = True, **more: Any
    ) -> Iterator[trace.Span]:
        """Begins a span and makes it the current one."""
        with trace.use_span(self.start_span(name, *args, **more), end_on_exit) as span:
            yield span

    def ended(self, span: LightSpan, end_time: int) -> None:
        """Hands a span over that was sampled."""
        ended = ReadableSpan(
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
            end_time=end_time,
            instrumentation_scope=self._scope,
        )
        self._record(ended)


class LightSpan(trace.Span):
    """A span; see `opentelemetry.trace.Span` for what its methods are for."""

    __slots__ = (
        "_tracer",
        "attributes",
        "context",
        "events",
        "kind",
        "links",
        "name",
        "parent",
        "started",
        "status",
    )

    def __init__(
        self,
        tracer: LightTracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
    ) -> None:
        self._tracer: LightTracer | None = tracer  # until it ends
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind  # may be set until it ends
        self.attributes = attributes
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.status = _UNSET
        self.started = time.time_ns()

    def end(self, end_time: int | None = None) -> None:
        tracer, self._tracer = self._tracer, None
        if tracer is not None and self.context.trace_flags.sampled:
            tracer.ended(self, time.time_ns() if end_time is None else end_time)

    def get_span_context(self) -> SpanContext:
        return self.context

    def is_recording(self) -> bool:
        return self._tracer is not None and self.context.trace_flags.sampled

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
