"""One saga is one trace: through StartSaga, every attempt, and every participant."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from amends import SagaState
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc
from tests.observability.conftest import Collector, Span, Stage, sequence

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SERVER, CLIENT, INTERNAL = 2, 3, 1

UNDONE = sequence("undone", "do", "fail_once", "refuse")
ATTEMPTS = [
    ("s1", "forward", 1, "succeeded"),
    ("s2", "forward", 1, "unknown"),
    ("s2", "forward", 2, "succeeded"),
    ("s3", "forward", 1, "rejected"),
    ("s2", "backward", 1, "compensated"),
    ("s1", "backward", 1, "compensated"),
]


@contextmanager
def calling() -> Iterator[None]:
    """Calls as from within a span of the caller's."""
    context = SpanContext(int(TRACE, 16), int(CALLER, 16), False, TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(context)):
        yield


def attempts(spans: list[Span]) -> list[Span]:
    return [each for each in spans if each.name.startswith(("Try ", "Compensate "))]


def served(spans: list[Span]) -> list[Span]:
    return [each for each in spans if each.service == "party" and each.kind == SERVER]


async def run_undone(stage: Stage, collector: Collector, *options: str) -> list[Span]:
    await stage.start_party(*options)
    await stage.start_daemon()
    async with stage.client() as client:
        with calling():
            saga = await client.run(UNDONE, {}, saga_id="saga-1")
    assert saga.state is SagaState.COMPENSATED
    return await collector.wait_for(is_whole)


def is_whole(spans: list[Span]) -> bool:
    """Whether all of a saga that is undone has arrived; each process sends its spans when it suits it."""
    known = {span.id for span in spans}
    return (
        len(attempts(spans)) == len(served(spans)) == len(ATTEMPTS)
        and all(span.parent in known for span in served(spans))
        and any(span.attributes.get("rpc.method") == "StartSaga" for span in spans)
    )


@pytest.mark.parametrize("options", [(), ("unary",)], ids=["exchange", "unary"])
async def test_one_trace_leads_from_the_caller_into_every_participant(
    traced: Stage, collector: Collector, options: tuple[str, ...]
) -> None:
    spans = await run_undone(traced, collector, *options)
    by_id = {span.id: span for span in spans}
    assert {span.trace for span in spans} == {TRACE}
    assert [span.step for span in attempts(spans)] == ATTEMPTS
    assert {span.parent for span in attempts(spans)} == {CALLER}
    assert {span.service for span in attempts(spans)} == {"amends"}
    for span in served(spans):
        parent = by_id[span.parent]
        if options:  # a unary call has a span of its own, by the standard instrumentation
            assert (parent.service, parent.kind) == ("amends", CLIENT)
            parent = by_id[parent.parent]
        assert parent in attempts(spans)
        for name in ("id", "definition", "step", "direction", "attempt"):
            assert span.attributes[f"saga.{name}"] == parent.attributes[f"saga.{name}"]


@pytest.mark.parametrize("options", [(), ("unary",)], ids=["exchange", "unary"])
async def test_a_span_tells_its_saga_and_the_rpc(
    traced: Stage, collector: Collector, options: tuple[str, ...]
) -> None:
    spans = await run_undone(traced, collector, *options)
    first = attempts(spans)[0]
    assert (
        first.attributes.items()
        >= {
            "saga.id": "saga-1",
            "saga.definition": "undone",
            "saga.step": "s1",
            "saga.direction": "forward",
            "saga.attempt": 1,
            "saga.outcome": "succeeded",
        }.items()
    )
    assert first.kind == (INTERNAL if options else CLIENT)
    for span in [*served(spans), *(span for span in spans if span.kind == CLIENT)]:
        assert span.attributes["rpc.system"] == "grpc"
        assert span.attributes["rpc.service"] == "amends.v1.Participant"
        assert span.attributes["rpc.method"] in ("Try", "Compensate")
    failed = [span for span in attempts(spans) if span.status == 2]
    assert [span.step for span in failed] == [("s2", "forward", 1, "unknown")]


async def test_start_saga_is_a_span_in_the_trace_of_its_caller(traced: Stage, collector: Collector) -> None:
    spans = await run_undone(traced, collector)
    (start,) = [span for span in spans if span.attributes.get("rpc.method") == "StartSaga"]
    assert (start.service, start.kind, start.trace, start.parent) == ("amends", SERVER, TRACE, CALLER)


async def test_a_span_is_exported_while_its_saga_goes_on(traced: Stage, collector: Collector) -> None:
    (traced.folder / "wait").touch()
    await traced.start_party()
    await traced.start_daemon()
    async with traced.client() as client:
        await client.start(sequence("held", "do", "hold"), {}, saga_id="held")
        spans = await collector.wait_for(lambda spans: len(attempts(spans)) >= 2)
        assert attempts(spans)[0].step == ("s1", "forward", 1, "succeeded")
        assert attempts(spans)[1].step == ("s2", "forward", 1, "pending")
        assert (await client.get("held")).state is SagaState.RUNNING


async def test_a_recovered_saga_goes_on_in_its_trace(traced: Stage, collector: Collector) -> None:
    (traced.folder / "wait").touch()
    await traced.start_party()
    daemon = await traced.start_daemon()
    async with traced.client() as client:
        with calling():
            await client.start(sequence("held", "do", "hold"), {}, saga_id="held")
        await collector.wait_for(lambda spans: len(attempts(spans)) >= 2)
        await daemon.kill()
        before = len(collector.spans)
        (traced.folder / "wait").unlink()
        await daemon.start()
        assert (await client.wait("held")).state is SagaState.COMPLETED
    spans = await collector.wait_for(
        lambda spans: any(each.step[3] == "succeeded" for each in attempts(spans[before:]))
    )
    assert {(span.trace, span.parent) for span in attempts(spans)} == {(TRACE, CALLER)}


async def test_a_saga_without_a_trace_gets_one_root(traced: Stage, collector: Collector) -> None:
    """StartSaga's own span is the root; on a stream of starts, which share an RPC, each saga gets its own."""
    await traced.start_party()
    await traced.start_daemon()
    definition = sequence("two", "do", "do")
    async with traced.client() as client:
        await client.run(definition, {}, saga_id="alone")
        async with client.starter() as starter:
            await starter.start(definition, {}, saga_id="streamed", wait=10)
    spans = await collector.wait_for(
        lambda spans: (
            len(attempts(spans)) == 4
            and {"saga two", "/amends.v1.Coordinator/StartSaga"} <= {span.name for span in spans}
        )
    )
    by_id = {span.id: span for span in spans}
    for saga_id, name in (("alone", "/amends.v1.Coordinator/StartSaga"), ("streamed", "saga two")):
        mine = [span for span in attempts(spans) if span.attributes["saga.id"] == saga_id]
        assert len(mine) == 2
        (root,) = (by_id[parent] for parent in {span.parent for span in mine})
        assert (root.name, root.parent) == (name, "")
    assert len({span.trace for span in attempts(spans)}) == 2


async def test_a_malformed_traceparent_is_ignored(traced: Stage, collector: Collector) -> None:
    await traced.start_party()
    await traced.start_daemon()
    definition = sequence("one", "do")
    async with grpc.aio.insecure_channel(traced.listen) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        request = coordinator_pb2.StartSagaRequest(saga_id="bent", traceparent="00-nonsense-01")
        request.definition.CopyFrom(definition.to_proto())
        await stub.StartSaga(request)
    spans = await collector.wait_for(lambda spans: bool(attempts(spans)))
    (span,) = attempts(spans)
    assert int(span.trace, 16)


async def test_a_malformed_header_is_ignored(stage: Stage) -> None:
    await stage.start_party()
    await stage.start_daemon()
    async with grpc.aio.insecure_channel(stage.listen) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        request = coordinator_pb2.StartSagaRequest(saga_id="bent")
        request.definition.CopyFrom(sequence("one", "do").to_proto())
        saga = await stub.StartSaga(request, metadata=(("traceparent", "nonsense"),))
    assert saga.traceparent == ""


async def test_a_trace_that_is_not_sampled_is_not_exported(traced: Stage, collector: Collector) -> None:
    """The decision is the caller's, and goes with the saga through every process."""
    await traced.start_party()
    await traced.start_daemon()
    context = SpanContext(int(TRACE, 16), int(CALLER, 16), False, TraceFlags(0))
    async with traced.client() as client:
        with trace.use_span(NonRecordingSpan(context)):
            await client.run(sequence("one", "do"), {})
        await client.run(sequence("one", "do"), {})
    spans = await collector.wait_for(lambda spans: len(served(spans)) == 1)
    assert TRACE not in {span.trace for span in spans}
