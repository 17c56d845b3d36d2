"""Light spans and their encoding do what the OpenTelemetry SDK's do, only faster."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import IdGenerator, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from amends._participant.tracing.encoding import encode
from amends._participant.tracing.light import LightTracer
from amends._participant.tracing.traceparent import format_traceparent, parse_traceparent


class Kept(SpanProcessor):
    """Keeps spans."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


PARENT = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "value")]))


def work(tracer: trace.Tracer) -> None:
    """Makes a span of every kind that there is."""
    context = trace.set_span_in_context(NonRecordingSpan(PARENT), Context())
    plain: dict[str, Any] = {"text": "x", "number": 1, "same": True, "fraction": 1.0}
    tracer.start_span("plain", context, SpanKind.CLIENT, plain, start_time=1).end(2)
    tracer.start_span("root", Context(), SpanKind.SERVER, start_time=1).end(2)
    tracer.start_span("list", context, attributes={"list": ("a", "b")}, start_time=1).end(2)
    failed = tracer.start_span("failed", context, start_time=1)
    failed.set_attribute("saga.outcome", "unknown")
    failed.set_status(StatusCode.ERROR, "it went wrong")
    failed.update_name("renamed")
    failed.end(2)
    full = tracer.start_span("full", context, start_time=1)
    full.set_attributes({"a": 1, "b": 2})
    full.add_event("event", {"c": 3}, timestamp=1)
    full.add_link(SpanContext(1, 2, False), {"d": 4})
    full.record_exception(ValueError("no"), timestamp=1)
    full.end(2)
    with tracer.start_as_current_span("current", start_time=1) as current:
        assert trace.get_current_span() is current
        tracer.start_span("child", start_time=1).end(2)
        current.end(2)


class Counting(IdGenerator):
    """Ids that are the same in every run."""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    def generate_trace_id(self) -> int:
        return self.generate_span_id()


def spans_of_both() -> tuple[list[ReadableSpan], list[ReadableSpan]]:
    """What work makes with a tracer of the SDK, and with a light one."""
    found = []
    for light in (False, True):
        kept = Kept()
        provider = TracerProvider(id_generator=Counting(), shutdown_on_exit=False)
        provider.add_span_processor(kept)
        work(LightTracer("test", provider, kept.on_end) if light else provider.get_tracer("test"))
        found.append(kept.spans)
    return found[0], found[1]


def without_stacktrace(spans: Sequence[ReadableSpan]) -> list[dict[str, Any]]:
    told = [json.loads(span.to_json()) for span in spans]
    for span in told:
        del span["resource"]
        for event in span["events"]:
            event["attributes"].pop("exception.stacktrace", None)
    return told


def test_a_light_span_is_what_a_span_of_the_sdk_is() -> None:
    usual, light = spans_of_both()
    assert without_stacktrace(light) == without_stacktrace(usual)


@pytest.mark.parametrize("light", [False, True])
def test_the_encoding_is_that_of_the_standard_exporter(light: bool) -> None:
    spans = spans_of_both()[light]
    spans += spans  # the first of a batch is encoded otherwise than the others
    assert encode(spans) == encode_spans(spans)


def test_a_span_is_recorded_once_and_not_after_its_end() -> None:
    kept = Kept()
    span = LightTracer("test", TracerProvider(shutdown_on_exit=False), kept.on_end).start_span("x")
    assert span.is_recording()
    span.end()
    span.end()
    assert not span.is_recording()
    assert len(kept.spans) == 1


def test_a_span_that_is_not_sampled_is_not_recorded() -> None:
    kept = Kept()
    span = LightTracer("test", TracerProvider(ALWAYS_OFF, shutdown_on_exit=False), kept.on_end).start_span(
        "x"
    )
    assert not span.is_recording()
    span.end()
    assert kept.spans == []


HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("header", [HEADER, HEADER[:-1] + "0"])
def test_a_traceparent_survives_reading_and_writing(header: str) -> None:
    context = parse_traceparent(header)
    assert context is not None
    assert context.is_remote
    assert format_traceparent(context) == header


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent("cc" + HEADER[2:] + "-more") is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        HEADER.upper(),
        HEADER + "-more",
        "ff" + HEADER[2:],
        "00-" + "0" * 32 + HEADER[35:],
        HEADER[:36] + "0" * 16 + "-01",
        HEADER.replace("0af", "+af"),
        HEADER.replace("0af", "_af"),
        HEADER + "\n",
    ],
)
def test_what_is_no_traceparent_is_none(header: str) -> None:
    assert parse_traceparent(header) is None
