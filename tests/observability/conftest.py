"""Real processes, a real collector of spans, and what they left in their logs."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc

from amends import Client, Definition, Retry, Step
from sample_services.demo.processes import Process
from tests.addresses import free_address

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 15.0
QUICK = Retry(initial_backoff=0.02, max_backoff=0.1, max_attempts=1_000)
"""Soon again, for as long as a participant takes to start on a machine that has much else to do."""


def sequence(name: str, *actions: str) -> Definition:
    """Steps s1, s2, ... in sequence, each by an action of the party."""
    return Definition(
        name, [Step(f"s{number}", "party", action, retry=QUICK) for number, action in enumerate(actions, 1)]
    )


@dataclass(frozen=True)
class Span:
    """A span as the collector saw it."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    status: int
    attributes: dict[str, Any]

    @property
    def step(self) -> tuple[str, str, int, str]:
        """Step, direction, attempt and outcome."""
        found = [self.attributes[f"saga.{name}"] for name in ("step", "direction", "attempt", "outcome")]
        return (found[0], found[1], found[2], found[3])


@dataclass
class Collector(pb_grpc.TraceServiceServicer):
    """Keeps every span, and tells who waits for some."""

    address: str = ""
    spans: list[Span] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def Export(
        self, request: pb.ExportTraceServiceRequest, _context: object
    ) -> pb.ExportTraceServiceResponse:
        async with self.news:
            self.spans.extend(_spans(request))
            self.news.notify_all()
        return pb.ExportTraceServiceResponse()

    async def wait_for(self, enough: Callable[[list[Span]], bool]) -> list[Span]:
        """Waits until the spans are enough, and returns all of them."""
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(lambda: enough(self.spans))
        return self.spans


def _spans(request: pb.ExportTraceServiceRequest) -> Iterable[Span]:
    for resource in request.resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    service,
                    span.name,
                    span.kind,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.status.code,
                    _values(span.attributes),
                )


def _values(attributes: Iterable[Any]) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@dataclass
class Stage:
    """A folder with a store and a party's database, and the processes around them."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    listen: str = field(default_factory=free_address)
    metrics: str = "off"
    party_address: str = field(default_factory=free_address)
    processes: list[Process] = field(default_factory=list)

    async def start_party(self, *options: str) -> Process:
        command = ["-m", "tests.observability.party", self.party_address, str(self.folder), *options]
        return await self._start("party", *command)

    async def start_daemon(self, *options: str) -> Process:
        return await self._start(
            "amends", "-m", "amends_coordinator.cli", "serve", "--listen", self.listen,
            "--metrics", self.metrics, "--store", f"sqlite:///{self.folder}/amends.db",
            "--participant", f"party={self.party_address}", *options,
        )  # fmt: skip

    async def _start(self, name: str, *arguments: str) -> Process:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        process = Process(
            name,
            [sys.executable, *arguments],
            log=self.folder / f"{name}.log",
            cwd=ROOT,
            env=environment | self.variables,
        )
        self.processes.append(process)
        await process.start()
        return process

    def client(self) -> Client:
        return Client(self.listen)

    def log(self, name: str) -> str:
        """What a process has written so far."""
        return (self.folder / f"{name}.log").read_text()

    async def close(self) -> None:
        for process in reversed(self.processes):
            await process.stop()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose processes are gone when the test is over."""
    stage = Stage(tmp_path)
    try:
        yield stage
    finally:
        await stage.close()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector of spans."""
    collector = Collector()
    server = grpc.aio.server()
    pb_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield collector
    await server.stop(None)


@pytest.fixture
def traced(collector: Collector, stage: Stage) -> Stage:
    """A stage whose processes export their spans to the collector, soon, and end before it does."""
    stage.variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    return stage
