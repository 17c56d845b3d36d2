"""Spans as OTLP messages: a light one in three microseconds, where the standard encoder takes thirty.

Most of a span repeats from span to span and is encoded once. The thread that exports pauses again and again,
so that an event loop which has something to do hardly waits for it: left to itself, the interpreter lets one
thread compute for five milliseconds while another one wants to.

What a plain span does not have, events for instance, is left to the standard encoder.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Any, Final, TypeAlias

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, SpanFlags
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, Status

from amends._tracing.light import LightSpan, LightTracer

Attributes: TypeAlias = tuple[tuple[str, Any], ...]

REMEMBERED: Final = 8_192
"""What is kept encoded: the outcomes of all steps, and the ids of the sagas whose spans go together."""

SPANS_AT_ONCE: Final = 64
"""Spans encoded between two pauses, in less than half a millisecond."""

PAUSE_S: Final = 0.0001
"""How long a pause is: enough for another thread to get the interpreter."""

_LOCAL: Final = int(SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
_REMOTE: Final = _LOCAL | int(SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)

# Fields of fixed size, each with its tag in front, as protobuf has them on the wire.
_IDS: Final = Struct(">2sQQ2sQ").pack
_TRACE_ID: Final = b"\x0a\x10"  # field 1, 16 bytes
_SPAN_ID: Final = b"\x12\x08"  # field 2, 8 bytes
_PARENT: Final = Struct(">2sQ").pack
_PARENT_SPAN_ID: Final = b"\x22\x08"  # field 4, 8 bytes
_TIMES: Final = Struct("<cQcQ").pack
_START: Final = b"\x39"  # field 7, fixed64
_END: Final = b"\x41"  # field 8, fixed64

_HALF: Final = (1 << 64) - 1


def encode_light(span: LightSpan) -> bytes | None:
    """Encodes a plain span, with its tag and its length in front; None if it is not plain."""
    context, parent = span.context, span.parent
    if span.events or span.links or context.trace_state:
        return None
    trace_id = context.trace_id
    try:
        attributes = tuple(span.attributes.items())
        # Of all that describes a span, one thing changes all the time; in a span of ours it comes first.
        own = attributes[:1] if attributes and attributes[0][0] == "saga.id" else ()
        common = attributes[len(own) :]
        parts = [
            _IDS(_TRACE_ID, trace_id >> 64, trace_id & _HALF, _SPAN_ID, context.span_id),
            _TIMES(_START, span.started, _END, span.ended),
            _saga_id(own),
            _common(
                span.name,
                span.kind,
                parent is not None and parent.is_remote,
                common,
                tuple([type(value) for _, value in common]),
            ),
            _status(span.status),
        ]
    except (TypeError, ValueError):
        return None  # a value that is not plain, or that nobody can encode
    if parent is not None:
        parts.append(_PARENT(_PARENT_SPAN_ID, parent.span_id))
    body = b"".join(parts)
    return b"\x12" + _length(len(body)) + body


def request_of(batch: Iterable[ReadableSpan | LightSpan]) -> ExportTraceServiceRequest:
    """Makes the message that exports spans, in the thread that does so."""
    light: defaultdict[LightTracer, list[bytes]] = defaultdict(list)
    usual = []
    for number, span in enumerate(batch):
        if number % SPANS_AT_ONCE == 0:
            time.sleep(PAUSE_S)
        if not isinstance(span, LightSpan):
            usual.append(span)
        elif (data := encode_light(span)) is not None:
            light[span.tracer].append(data)
        else:
            usual.append(span.tracer.readable(span))
    request = encode_spans(usual)
    for tracer, found in light.items():
        group = request.resource_spans.add()
        group.CopyFrom(_frame(tracer))
        group.scope_spans[0].MergeFromString(b"".join(found))
    return request


@lru_cache
def _frame(tracer: LightTracer) -> ResourceSpans:
    """Encodes what all spans of a tracer share."""
    frame = encode_spans([tracer.readable(tracer.start_span(""))]).resource_spans[0]
    del frame.scope_spans[0].spans[:]
    return frame


@lru_cache(REMEMBERED)
def _common(
    name: str, kind: SpanKind, remote_parent: bool, attributes: Attributes, _types: tuple[type, ...]
) -> bytes:
    """Encodes what many spans have in common. The types tell 1 from True, which are equal."""
    number = Message.SpanKind.Value(f"SPAN_KIND_{kind.name}")
    message = Message(name=name, kind=number, flags=_REMOTE if remote_parent else _LOCAL)
    return message.SerializeToString() + _attributes(attributes)


def _attributes(attributes: Attributes) -> bytes:
    """Encodes attributes. Raises TypeError if a value is not plain."""
    message = Message()
    for key, value in attributes:
        attribute = message.attributes.add(key=key)
        if isinstance(value, bool):
            attribute.value.bool_value = value
        elif isinstance(value, str):
            attribute.value.string_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        elif isinstance(value, float):
            attribute.value.double_value = value
        else:
            raise TypeError(f"{type(value).__name__} is not plain")
    return message.SerializeToString()


_saga_id = lru_cache(REMEMBERED)(_attributes)


def _status(status: Status) -> bytes:
    if status.is_unset:
        return _NO_STATUS
    message = Message()
    message.status.code = StatusMessage.StatusCode.Value(f"STATUS_CODE_{status.status_code.name}")
    message.status.message = status.description or ""
    return message.SerializeToString()


_NO_STATUS: Final = Message(status=StatusMessage()).SerializeToString()


def _length(size: int) -> bytes:
    """Encodes a length, seven bits to a byte, the last ones first."""
    found = bytearray()
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    found.append(size)
    return bytes(found)
