"""Light spans and their encoding do what the OpenTelemetry SDK's do, only faster."""

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from amends._participant import tracing
from amends._tracing import encoding
from amends._tracing.encoding import request_of
from amends._tracing.light import LightTracer
from amends._tracing.traceparent import format_traceparent, parse_traceparent
from amends.v1 import participant_pb2


class Keeper(SpanProcessor):
    """Keeps spans."""

    def __init__(self, kept: list[Any]) -> None:
        self.kept = kept

    def on_end(self, span: ReadableSpan) -> None:
        self.kept.append(span)


RESOURCE = Resource({"service.name": "test"})
PARENT = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "value")]))


def work(tracer: trace.Tracer) -> None:
    """Makes a span of every kind that there is."""
    context = trace.set_span_in_context(NonRecordingSpan(PARENT), Context())
    plain: dict[str, Any] = {"text": "x", "number": 1, "same": True, "fraction": 1.0}
    tracer.start_span("plain", context, SpanKind.CLIENT, plain, start_time=1).end(2)
    tracer.start_span("root", Context(), SpanKind.SERVER, start_time=1).end(2)
    tracer.start_span("list", context, attributes={"list": ("a", "b")}, start_time=1).end(2)
    tracer.start_span("odd", context, attributes={"same": 1, "other": True}, start_time=1).end(2)
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


def exported(light: bool) -> dict[str, Any]:
    """What a collector gets of the work, by name of the span, with a tracer of the SDK or a light one."""
    kept: list[Any] = []
    provider = TracerProvider(id_generator=Counting(), resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(Keeper(kept))
    if light:
        work(LightTracer(InstrumentationScope("test", ""), provider, kept.append))
        request = request_of(kept)
    else:
        work(provider.get_tracer("test"))
        request = encode_spans(kept)
    found = {}
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                for event in span.events:
                    del event.attributes[2:]  # where in this file it was raised
                found[span.name] = (group.resource, scope.scope, span)
    return found


NAMES = ["plain", "root", "list", "renamed", "odd", "full", "current", "child"]


@pytest.mark.parametrize("name", NAMES)
def test_a_collector_gets_of_a_light_span_what_it_gets_of_a_usual_one(name: str) -> None:
    light, usual = exported(light=True)[name], exported(light=False)[name]
    assert light[:2] == usual[:2]
    ours, theirs = light[2], usual[2]
    for ids in ("trace_id", "span_id", "parent_span_id"):  # the order in which ids are drawn may differ
        assert bool(getattr(ours, ids)) == bool(getattr(theirs, ids))
        ours.ClearField(ids)
        theirs.ClearField(ids)
    assert ours == theirs


def test_ids_lead_from_a_light_span_to_its_parent() -> None:
    found = {name: span for name, (_, _, span) in exported(light=True).items()}
    assert found["plain"].trace_id == (7).to_bytes(16)
    assert found["plain"].parent_span_id == (8).to_bytes(8)
    assert found["child"].trace_id == found["current"].trace_id
    assert found["child"].parent_span_id == found["current"].span_id
    assert len({span.span_id for span in found.values()}) == len(NAMES)


def test_a_span_is_recorded_once_and_not_after_its_end() -> None:
    kept: list[Any] = []
    span = LightTracer(
        InstrumentationScope("test", ""), TracerProvider(shutdown_on_exit=False), kept.append
    ).start_span("x")
    assert span.is_recording()
    span.end()
    span.end()
    assert not span.is_recording()
    assert len(kept) == 1


def test_a_span_that_is_not_sampled_is_not_recorded() -> None:
    kept: list[Any] = []
    provider = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    span = LightTracer(InstrumentationScope("test", ""), provider, kept.append).start_span("x")
    assert not span.is_recording()
    span.end()
    assert kept == []


@pytest.mark.parametrize("value", ["\ud800", 2**70, object()], ids=["surrogate", "huge", "object"])
def test_an_attribute_that_nobody_can_encode_does_not_disturb_the_call(value: object) -> None:
    """Its span is left to the standard encoder, which drops it and says so, in the thread that exports."""
    kept: list[Any] = []
    span = LightTracer(
        InstrumentationScope("test", ""), TracerProvider(shutdown_on_exit=False), kept.append
    ).start_span("x")
    span.set_attribute("mine", value)
    span.end()
    assert [s.name for r in request_of(kept).resource_spans for s in r.scope_spans[0].spans] == ["x"]


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


def test_spans_of_one_step_differ_in_nothing_that_is_encoded_anew() -> None:
    """What they have in common is remembered: all but the id of the saga, which comes first."""
    kept: list[Any] = []
    tracer = LightTracer(
        InstrumentationScope("test", ""), TracerProvider(shutdown_on_exit=False), kept.append
    )
    for saga_id in ("one", "two"):
        tracer.start_span("Try s1", attributes={"saga.id": saga_id, "saga.step": "only here"}).end()
    before = encoding._common.cache_info()
    request_of(kept)
    after = encoding._common.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 1)


def test_attributes_of_a_participant_begin_with_the_saga() -> None:
    request = participant_pb2.TryRequest(saga_id="s1", step="a")
    assert next(iter(tracing.attributes(request))) == "saga.id"
