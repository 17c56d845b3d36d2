"""The W3C traceparent header, https://www.w3.org/TR/trace-context/, which the contracts carry."""

from __future__ import annotations

import re
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)


def format_traceparent(context: SpanContext) -> str:
    """Writes a traceparent header."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def parse_traceparent(header: str) -> SpanContext | None:
    """Reads a traceparent header; None if it is none."""
    found = _FORM.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # Later versions may add fields; this one has none, and 'ff' is no version.
    if version == "ff" or (version == "00" and more):
        return None
    context = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))
    return context if context.is_valid else None


def parent_context(header: str) -> Context | None:
    """Makes the context whose spans continue a traceparent; None for what is no traceparent."""
    parent = parse_traceparent(header)
    return None if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())
