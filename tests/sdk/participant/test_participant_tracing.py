"""Spans of calls, collected by a real tracer provider in a process of their own: a provider is set once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, json, sys
import grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.sdk.participant.calls import exchange_of, try_request
from amends import Context, Participant
from amends.v1 import participant_pb2_grpc

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
shop = Participant("shop", store="sqlite:///" + sys.argv[1])
seen = []

@shop.action
def act(order: dict, ctx: Context) -> None:
    seen.append(trace.get_current_span().get_span_context().trace_id)

@shop.action
async def wait(order: dict, ctx: Context) -> None:
    seen.append(trace.get_current_span().get_span_context().trace_id)

async def once(message):
    yield message

async def main():
    port = await shop.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = participant_pb2_grpc.ParticipantStub(channel)
        message = exchange_of(try_request(saga="s1"), try_request(saga="s2", action="wait"))
        for call in message.calls:
            call.traceparent = PARENT
        async for _ in stub.Exchange(once(message)):
            pass
        await stub.Try(try_request(saga="s3"), metadata=(("traceparent", PARENT),))
    await shop.stop()

asyncio.run(main())
spans = [
    {"name": s.name, "trace": format(s.context.trace_id, "032x"), "kind": s.kind.name,
     "attributes": {k: v for k, v in s.attributes.items() if k.startswith("saga.")}}
    for s in exporter.get_finished_spans()
]
print(json.dumps({"spans": spans, "seen": [format(t, "032x") for t in seen]}))
"""
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, object]]]:
    path = tmp_path_factory.mktemp("traced") / "shop.db"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PYTHONPATH": str(Path(__file__).parent)},
    )
    found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return found


def test_every_call_has_one_server_span_in_the_callers_trace(
    traced: dict[str, list[dict[str, object]]],
) -> None:
    spans = traced["spans"]
    assert [(span["trace"], span["kind"]) for span in spans] == [(TRACE, "SERVER")] * 3
    assert {str(span["name"]).lstrip("/") for span in spans} == {"amends.v1.Participant/Try"}


def test_every_span_tells_its_saga_and_how_the_call_ended(
    traced: dict[str, list[dict[str, object]]],
) -> None:
    found = sorted((span["attributes"] for span in traced["spans"]), key=str)
    assert found[0] == {
        "saga.id": "s1",
        "saga.definition": "order",
        "saga.step": "a",
        "saga.direction": "forward",
        "saga.attempt": 1,
        "saga.outcome": "succeeded",
    }
    assert [attributes["saga.id"] for attributes in found] == ["s1", "s2", "s3"]  # type: ignore[index]
    assert all(attributes["saga.outcome"] == "succeeded" for attributes in found)  # type: ignore[index]


def test_handlers_run_within_the_span(traced: dict[str, list[dict[str, object]]]) -> None:
    assert traced["seen"] == [TRACE] * 3
