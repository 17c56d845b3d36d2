"""Sagas and definitions by HTTP, on a real daemon: the same as by gRPC."""

import base64

import grpc
import pytest
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from google.protobuf import any_pb2, json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from amends import SagaState
from amends.v1 import coordinator_pb2 as pb
from amends.v1 import coordinator_pb2_grpc, saga_pb2
from tests.http_api.asking import ask, struct
from tests.http_api.conftest import HttpStage, definition
from tests.integration.conftest import three_steps

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = "30s"


async def test_a_saga_is_started_and_shown(stage: HttpStage) -> None:
    """With its input and its results in the JSON form of protobuf, by the start that waits and by a get."""
    started = await ask(
        stage.http,
        "StartSaga",
        {
            "sagaId": "by-http",
            "definition": definition(),
            "input": struct({"name": "Müller", "n": 3}),
            "labels": {"shop": "berlin"},
            "wait": PATIENCE,
        },
    )
    assert started.status == 200
    assert started.content["state"] == "COMPLETED"
    assert started.content["input"] == struct({"name": "Müller", "n": 3})
    assert [step["result"] for step in started.content["steps"]] == [
        struct({"step": name}) for name in ("first", "second", "third")
    ]
    got = await ask(stage.http, "GetSaga", {"sagaId": "by-http"})
    assert (got.status, got.content) == (200, started.content)
    assert got.headers["content-type"] == "application/json"


async def test_fields_may_be_named_as_in_the_proto(stage: HttpStage) -> None:
    """Protobuf's JSON mapping takes both names."""
    await ask(stage.http, "StartSaga", {"saga_id": "snake", "definition": definition(), "input": struct({})})
    assert (await ask(stage.http, "GetSaga", {"saga_id": "snake"})).content["id"] == "snake"


async def test_p10_the_same_start_by_http_and_by_grpc_is_one_saga(stage: HttpStage) -> None:
    """In whatever order the input names its parts; other content is refused."""
    content = {"b": [1, None, {"y": 1, "x": 2}], "a": "é", "c": 4711}
    start = {"sagaId": "same", "definition": definition(), "input": struct(content)}
    first = await ask(stage.http, "StartSaga", start)
    turned = dict(reversed(content.items()))
    second = await ask(stage.http, "StartSaga", {**start, "input": struct(turned)})
    assert (first.status, second.status) == (200, 200)
    async with stage.client() as client:
        assert (await client.start(three_steps(), turned, saga_id="same")).id == "same"
    other = await ask(stage.http, "StartSaga", {**start, "input": struct({})})
    assert (other.status, other.content["code"]) == (409, "already_exists")


async def test_a_saga_is_cancelled(stage: HttpStage) -> None:
    """While a step waits; it turns back, and the reason is kept."""
    switch = stage.switches / "second"
    switch.touch()
    try:
        start = {"sagaId": "cancelled", "definition": definition(), "input": struct({})}
        await ask(stage.http, "StartSaga", start)
        wish = {"sagaId": "cancelled", "reason": "the customer called"}
        assert (await ask(stage.http, "CancelSaga", wish)).status == 200
    finally:
        switch.unlink()
    ended = await ask(stage.http, "StartSaga", {**start, "wait": PATIENCE})
    assert ended.content["state"] == "COMPENSATED"
    assert ended.content["turnBack"]["message"] == "the customer called"


async def test_a_saga_that_waits_is_retried_and_listed(stage: HttpStage) -> None:
    """By its label and its state, which are words; a page at a time."""
    switch = stage.switches / "first"
    switch.touch()
    try:
        for number in range(3):
            start = {
                "sagaId": f"listed-{number}",
                "definition": definition(),
                "input": struct({}),
                "labels": {"for": "lists"},
            }
            await ask(stage.http, "StartSaga", start)
        condition = {"labels": {"for": "lists"}, "states": ["RUNNING"], "pageSize": 2}
        first = (await ask(stage.http, "ListSagas", condition)).content
        rest = {**condition, "pageToken": first["nextPageToken"]}
        second = (await ask(stage.http, "ListSagas", rest)).content
        assert [len(page["sagas"]) for page in (first, second)] == [2, 1]
        assert "nextPageToken" not in second
        assert (await ask(stage.http, "RetrySaga", {"sagaId": "listed-0"})).content["state"] == "RUNNING"
    finally:
        switch.unlink()


async def test_definitions_are_registered_shown_and_listed(stage: HttpStage) -> None:
    """And sagas started by their name."""
    registered = await ask(stage.http, "RegisterDefinition", {"definition": definition()})
    assert registered.content["version"] == "1"
    shown = await ask(stage.http, "GetDefinition", {"name": "three-do"})
    assert shown.content == registered.content
    listed = await ask(stage.http, "ListDefinitions", {})
    assert registered.content in listed.content["definitions"]
    started = await ask(
        stage.http, "StartSaga", {"definitionName": "three-do", "input": struct({}), "wait": PATIENCE}
    )
    assert started.content["state"] == "COMPLETED"


async def test_a_start_that_waits_answers_before_its_deadline(stage: HttpStage) -> None:
    """Connect-Timeout-Ms is a deadline like that of gRPC: running out of time is no error of such a start."""
    switch = stage.switches / "third"
    switch.touch()
    try:
        start = {"sagaId": "late", "definition": definition(), "input": struct({}), "wait": PATIENCE}
        deadline = {"Connect-Timeout-Ms": "1500"}
        while (answer := await ask(stage.http, "StartSaga", start, headers=deadline)).status == 504:
            continue  # a busy machine did not let it run for its margin
        assert (answer.status, answer.content["state"]) == (200, "RUNNING")
    finally:
        switch.unlink()


async def test_the_trace_of_the_caller_is_continued(stage: HttpStage) -> None:
    """It comes in the header that W3C Trace Context names."""
    traceparent = f"00-{0xABC:032x}-{0xDEF:016x}-01"
    start = {"sagaId": "traced", "definition": definition(), "input": struct({})}
    await ask(stage.http, "StartSaga", start, headers={"Traceparent": traceparent})
    async with stage.client() as client:
        first = (await client.history("traced"))[0]
    assert first.fact.traceparent == traceparent


async def test_a_large_input_comes_through(stage: HttpStage) -> None:
    """One that is read and written beside the event loop."""
    text = "ä" * 200_000
    start = {"sagaId": "large", "definition": definition(), "input": struct({"text": text}), "wait": PATIENCE}
    answer = await ask(stage.http, "StartSaga", start)
    assert (answer.content["state"], answer.content["input"]["value"]["text"]) == ("COMPLETED", text)


async def test_a_payload_that_only_others_can_read_is_shown_by_its_bytes(stage: HttpStage) -> None:
    """Its type and its bytes in base64: nothing is lost, and nothing fails."""
    payload = any_pb2.Any(type_url="type.googleapis.com/shop.v1.Order", value=b"\x08\x01")
    async with stage.client() as client:
        saga = await client.start(three_steps("refuse"), payload, saga_id="foreign")
        assert saga.state is not SagaState.PARKED
    shown = (await ask(stage.http, "GetSaga", {"sagaId": "foreign"})).content["input"]
    assert shown == {"@type": payload.type_url, "base64": base64.b64encode(payload.value).decode()}


FAILING: list[tuple[str, Message]] = [
    ("StartSaga", pb.StartSagaRequest(saga_id="no id", definition_name="missing")),
    ("StartSaga", pb.StartSagaRequest(definition_name="missing")),
    ("GetSaga", pb.GetSagaRequest(saga_id="missing")),
    ("GetSaga", pb.GetSagaRequest()),
    ("ListSagas", pb.ListSagasRequest(page_size=-1, page_token="forged")),
    ("CancelSaga", pb.CancelSagaRequest(saga_id="missing")),
    ("RetrySaga", pb.RetrySagaRequest(saga_id="missing", reason="x" * 2_000)),
    ("ResolveStep", pb.ResolveStepRequest(saga_id="missing")),
    ("ResolveStep", pb.ResolveStepRequest(saga_id="missing", resolution=1, reason="x")),  # type: ignore[arg-type]
    ("RegisterDefinition", pb.RegisterDefinitionRequest()),
    ("GetDefinition", pb.GetDefinitionRequest(name="missing")),
    ("ListDefinitions", pb.ListDefinitionsRequest(page_size=-1)),
]


@pytest.mark.parametrize(("method", "request_"), FAILING, ids=[method for method, _ in FAILING])
async def test_errors_are_those_of_grpc(stage: HttpStage, method: str, request_: Message) -> None:
    """The same code, words and details; the details in words beside their bytes."""
    async with grpc.aio.insecure_channel(stage.listen) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await getattr(coordinator_pb2_grpc.CoordinatorStub(channel), method)(request_)
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]
    assert status is not None
    answer = await ask(stage.http, method, json_format.MessageToDict(request_))
    assert answer.content["code"].upper() == raised.value.code().name
    assert answer.content["message"] == status.message
    for found, expected in zip(answer.content["details"], status.details, strict=True):
        assert found["type"] == expected.TypeName()
        assert base64.b64decode(found["value"] + "==") == expected.value
        shown = json_format.MessageToDict(expected)
        assert {"@type": shown["@type"], **found["debug"]} == shown


async def test_a_client_of_connect_reads_answers_and_errors(stage: HttpStage) -> None:
    """One that was not written by us, with JSON and without compression."""
    method = MethodInfo(
        name="GetDefinition",
        service_name="amends.v1.Coordinator",
        input=pb.GetDefinitionRequest,
        output=saga_pb2.Definition,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.UNARY,
    )
    async with (
        stage.client() as client,
        ConnectClient(
            f"http://{stage.http}", codec=google_protobuf_json_codec(), send_compression=None
        ) as connect,
    ):
        await client.register(three_steps("refuse"))
        request = pb.GetDefinitionRequest(name="three-refuse")
        found = await connect.execute_unary(request=request, method=method, timeout_ms=30_000)
        assert [step.action for step in found.steps] == ["do", "do", "refuse"]
        with pytest.raises(ConnectError) as raised:
            await connect.execute_unary(request=pb.GetDefinitionRequest(name="missing"), method=method)
    (detail,) = raised.value.details
    assert raised.value.code is Code.NOT_FOUND
    info = error_details_pb2.ErrorInfo.FromString(detail.message_bytes)
    assert (info.domain, info.reason) == ("amends", "DEFINITION_NOT_FOUND")
