"""One order is one trace, through four processes, with a coordinator or without."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from amends import Client
from sample_services.demo.choreographed.audit import ends_of
from sample_services.demo.choreographed.customer import Customer
from sample_services.demo.choreographed.stage import opened_stage as opened_choreographed_stage
from sample_services.demo.scenes import TEA
from sample_services.demo.stage import opened_stage
from sample_services.shop.orders import ORDER
from sample_services.turnstile import POLL_S

pytestmark = pytest.mark.processes


class Collector(TraceServiceServicer):
    """Remembers which services sent spans of which trace."""

    def __init__(self) -> None:
        self.services: defaultdict[bytes, set[str]] = defaultdict(set)

    async def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:
        for batch in request.resource_spans:
            names = {item.key: item.value.string_value for item in batch.resource.attributes}
            for spans in batch.scope_spans:
                for span in spans.spans:
                    self.services[span.trace_id].add(names["service.name"])
        return ExportTraceServiceResponse()


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector at the address that the standard variable names."""
    collector = Collector()
    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call] # generated
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield collector
    await server.stop(None)


async def test_an_order_is_one_trace_through_coordinator_and_participants(
    collector: Collector, tmp_path: Path
) -> None:
    async with opened_stage(tmp_path) as stage, Client(stage.address) as client:
        saga = await client.run(ORDER, TEA)
        assert saga.completed
    trace = max(collector.services.values(), key=len)
    assert {"inventory", "payments", "shipping"} < trace
    assert len(trace) == 4


async def test_an_order_without_a_coordinator_is_one_trace_too(collector: Collector, tmp_path: Path) -> None:
    async with opened_choreographed_stage(tmp_path, "sqlite") as stage, Customer(stage.door) as customer:
        await customer.place("order-1", TEA)
        async with asyncio.timeout(60):
            while not ends_of(["order-1"], stage.books())["order-1"]:  # noqa: ASYNC110 - in other processes
                await asyncio.sleep(POLL_S)
    trace = max(collector.services.values(), key=len)
    assert trace == {"orders", "inventory", "payments", "shipping"}
