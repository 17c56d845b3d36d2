"""Logs tell which saga and which trace, and never a payload."""

import io
import json
import logging

import grpc
import pytest
from google.protobuf import any_pb2
from google.protobuf.wrappers_pb2 import StringValue

from amends import SagaState
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc
from amends_coordinator.telemetry import JsonFormatter, TextFormatter
from tests.observability.conftest import Stage, sequence
from tests.observability.test_trace import TRACE, calling

CANARY = "canary-4111111111111111"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("options", [(), ("unary",)], ids=["exchange", "unary"])
async def test_payloads_are_never_logged(stage: Stage, form: str, options: tuple[str, ...]) -> None:
    """Not even at debug, over a saga that is compensated, one that is parked, and inputs nobody can read."""
    await stage.start_party(*options)
    await stage.start_daemon("--log-format", form, "--log-level", "debug")
    secret = {"card": CANARY}
    async with stage.client() as client:
        undone = await client.run(sequence("undone", "do", "fail_once", "refuse"), secret, labels={"a": "b"})
        assert undone.state is SagaState.COMPENSATED
        stuck = await client.run(sequence("stuck", "stay", "refuse"), secret, saga_id="stuck")
        assert stuck.state is SagaState.PARKED
    async with grpc.aio.insecure_channel(stage.listen) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        for number, payload in enumerate(_unreadable()):
            request = coordinator_pb2.StartSagaRequest(saga_id=f"bad-{number}", input=payload)
            request.definition.CopyFrom(sequence("undone", "do").to_proto())
            request.wait.FromSeconds(5)
            await stub.StartSaga(request)
    for name in ("amends", "party"):
        assert CANARY not in stage.log(name)
    assert "stuck" in stage.log("amends")


def _unreadable() -> list[any_pb2.Any]:
    """Inputs that a handler for JSON cannot read."""
    typed = any_pb2.Any()
    typed.Pack(StringValue(value=CANARY))
    return [
        typed,
        any_pb2.Any(type_url="type.googleapis.com/google.protobuf.Struct", value=CANARY.encode()),
        any_pb2.Any(type_url="type.googleapis.com/made.Up", value=CANARY.encode()),
    ]


async def test_a_record_about_a_saga_names_it_and_its_trace(stage: Stage) -> None:
    await stage.start_party()
    await stage.start_daemon("--log-format", "json", "--log-level", "debug")
    async with stage.client() as client:
        with calling():
            await client.run(sequence("stuck", "stay", "refuse"), {}, saga_id="stuck")
    lines = [line for line in stage.log("amends").splitlines() if line.startswith("{")]
    found = [json.loads(line) for line in lines]
    (record,) = [record for record in found if record.get("action") == "attention_needed"]
    assert record["saga_id"] == "stuck"
    assert record["definition"] == "stuck"
    assert record["trace_id"] == TRACE
    assert record["level"] == "warning"
    assert record["time"].endswith("Z")


def logged(formatter: logging.Formatter) -> str:
    stream = io.StringIO()
    logger = logging.Logger("amends_coordinator.test")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    try:
        raise ValueError("what went wrong")
    except ValueError:
        logger.warning("saga %s did this", "s1", extra={"action": "deed", "saga_id": "s1"}, exc_info=True)
    return stream.getvalue()


def test_json_is_one_object_a_line() -> None:
    (line,) = logged(JsonFormatter()).splitlines()
    record = json.loads(line)
    assert record["message"] == "saga s1 did this"
    assert (record["action"], record["saga_id"], record["level"]) == ("deed", "s1", "warning")
    assert record["exception"].endswith("ValueError: what went wrong")


def test_text_is_a_sentence_and_the_fields() -> None:
    lines = logged(TextFormatter()).splitlines()
    assert lines[0].endswith("warning saga s1 did this  [saga_id=s1]")
    assert lines[-1] == "ValueError: what went wrong"
