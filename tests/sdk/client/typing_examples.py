"""What the annotations accept and refuse. Nothing runs this; `test_typing.py` has mypy read it.

An ignored error that is no error any more is an error to mypy, so each `type: ignore` shows a refusal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_type

from google.protobuf import wrappers_pb2
from google.protobuf.wrappers_pb2 import Int64Value, StringValue
from grpc import StatusCode

from amends import (
    BlockingClient,
    Client,
    Definition,
    Event,
    Kind,
    MethodCall,
    Outcome,
    OutcomeRule,
    Resolution,
    Retry,
    Saga,
    SagaSummary,
    Started,
    Step,
)


@dataclass
class Charge:
    """A result."""

    id: str


def definitions() -> None:
    """Durations are seconds or timedeltas, kinds are members or their names."""
    Step("a", "p", "x", kind="pivot", timeout=timedelta(seconds=1), needs=["b"])
    Step("a", "p", "x", kind=Kind.PIVOT, timeout=1, retry=Retry(max_attempts=3), needs=())
    Step("a", "p", "x", timeout="1s")  # type: ignore[arg-type]
    Step("a", "p", "x", ["b"])  # type: ignore[call-arg]
    Step("a", "p", try_method="s.v1.S/M", compensate_method=MethodCall("s.v1.S/N", "N{}"))
    Step("a", "p", "x", try_outcomes=[OutcomeRule("ABORTED", "unknown")], compensate_outcomes=())
    Step("a", "p", try_method=7)  # type: ignore[arg-type]
    Step("a", "p", "x", try_outcomes=["ABORTED"])  # type: ignore[list-item]
    OutcomeRule(StatusCode.OK, Outcome.REJECTED, "true", reason="NO")
    OutcomeRule(10, "unknown")  # type: ignore[arg-type]
    assert_type(Definition("d", [], input_type=StringValue), Definition[StringValue])
    Definition[StringValue]("d", [], input_type="s.v1.T", descriptors=[wrappers_pb2, StringValue])
    Definition[StringValue]("d", [], input_type=Int64Value)  # type: ignore[arg-type]
    Definition("d", [], descriptors="file.binpb")  # type: ignore[arg-type]
    Definition("d", ["a"])  # type: ignore[list-item]
    Definition("d", []).name = "e"  # type: ignore[misc]


async def client(client: Client, definition: Definition) -> None:
    """Results have the type that was asked for."""
    saga = await client.run(definition, Charge("1"), timeout=1.5)
    assert_type(saga, Saga)
    assert_type(saga.result("charge", Charge), Charge)
    assert_type(saga.steps["charge"].result(str), str)
    await client.start("name", {"any": "json"}, saga_id="x", labels={"a": "b"})
    await client.start("name", labels={"a": 1})  # type: ignore[dict-item]
    await client.start(3)  # type: ignore[arg-type]
    await client.start(Definition("d", [], input_type=StringValue), StringValue())
    await client.start(Definition("d", [], input_type=StringValue), {"any": "json"})  # type: ignore[misc]
    await client.start(Definition("d", [], input_type="s.v1.T"), {"any": "json"})
    await client.resolve("x", "charge", Resolution.SUCCEEDED, reason="r")
    await client.resolve("x", "charge", Resolution.SUCCEEDED)  # type: ignore[call-arg]
    async for event in client.watch("x"):
        assert_type(event, Event)
    async for summary in client.list(states=["RUNNING"]):
        assert_type(summary, SagaSummary)
    async with client.starter() as starter:
        assert_type(await starter.start("name"), Started)


def blocking(client: BlockingClient, definition: Definition) -> None:
    """The blocking client has the types of the async one, without the waiting."""
    assert_type(client.run(definition, Charge("1"), timeout=1.5), Saga)
    assert_type(client.watch("x", after=3), Iterator[Event])
    assert_type(client.list(definition="d"), Iterator[SagaSummary])
    assert_type(client.history("x"), tuple[Event, ...])
    client.start("name", labels={"a": 1})  # type: ignore[dict-item]
    client.resolve("x", "charge", Resolution.SUCCEEDED)  # type: ignore[call-arg]
