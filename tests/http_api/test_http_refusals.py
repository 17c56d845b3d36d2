"""What is no request, by HTTP: each is told in words that say what to do, and a daemon is not harmed."""

import asyncio
import json
import socket
from collections.abc import Mapping

import pytest

from amends_coordinator.http_api.bodies import MAX_BODY
from amends_coordinator.http_api.server import MAX_CONNECTIONS
from tests.http_api.asking import ask, struct
from tests.http_api.conftest import HttpStage

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODIES: list[tuple[object, str]] = [
    (b"", "no JSON object"),
    (b"[]", "no JSON object"),
    (b"null", "no JSON object"),
    (b"\xff\xfe", "no JSON object"),
    (b"{", "Expecting property name"),
    (b'{"sagaId": "\xff"}', "utf-8"),
    (b'{"sagaId": "a", "sagaId": "b"}', "duplicate"),
    (b'{"a": ' * 50_000, "recursion"),
    ({"saga": "a"}, "'sagaId'"),
    ({"sagaId": 4711}, "sagaId"),
    ({"input": {"sku": "apple"}}, "@type"),
    ({"input": {"@type": "type.googleapis.com/shop.v1.Order", "sku": "apple"}}, "shop.v1.Order"),
    ({"wait": 5}, "Duration"),
]


@pytest.mark.parametrize(("body", "words"), BODIES)
async def test_a_body_that_cannot_be_read_is_refused(stage: HttpStage, body: object, words: str) -> None:
    """As bad input is: with the message that was expected, and what is wrong."""
    answer = await ask(stage.http, "StartSaga", body)
    assert (answer.status, answer.content["code"]) == (400, "invalid_argument")
    assert "amends.v1.StartSagaRequest" in answer.content["message"]
    assert words in answer.content["message"]
    assert [detail["type"] for detail in answer.content["details"]] == [
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
    ]


@pytest.mark.parametrize(
    ("method", "verb", "headers", "status", "code", "words"),
    [
        ("FindSaga", "POST", {}, 404, "unimplemented", "GetSaga"),
        ("../metrics", "POST", {}, 404, "unimplemented", "GetSaga"),
        ("WatchSaga", "POST", {}, 501, "unimplemented", "amends watch"),
        ("StartSagas", "POST", {}, 501, "unimplemented", "stream"),
        ("GetSaga", "GET", {}, 405, "unimplemented", "POST"),
        ("GetSaga", "OPTIONS", {"Origin": "http://a.page"}, 405, "unimplemented", "POST"),
        ("GetSaga", "POST", {"Content-Type": "text/plain"}, 415, "invalid_argument", "'text/plain'"),
        ("GetSaga", "POST", {"Content-Type": "application/grpc"}, 415, "invalid_argument", "curl --json"),
        ("GetSaga", "POST", {"Origin": "http://a.page"}, 403, "permission_denied", "web pages"),
        ("GetSaga", "POST", {"Connect-Timeout-Ms": "soon"}, 400, "invalid_argument", "soon"),
        ("GetSaga", "POST", {"Content-Encoding": "gzip"}, 501, "unimplemented", "gzip"),
        ("GetSaga", "POST", {"X-Name": "M\xfcller"}, 400, "invalid_argument", "ASCII"),
    ],
)
async def test_what_is_no_request_of_the_api_is_refused(
    stage: HttpStage, method: str, verb: str, headers: Mapping[str, str], status: int, code: str, words: str
) -> None:
    """With a status of HTTP for programs, and words for whoever reads them."""
    answer = await ask(stage.http, method, {"sagaId": "any"}, verb=verb, headers=headers)
    assert (answer.status, answer.content["code"]) == (status, code)
    assert words in answer.content["message"]
    assert "access-control-allow-origin" not in answer.headers


async def test_a_charset_may_be_named(stage: HttpStage) -> None:
    """As many clients do."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await ask(stage.http, "ListDefinitions", {}, headers=headers)).status == 200


def first_line(address: str, request: bytes) -> bytes:
    """Sends bytes, and reads the status line of what comes back."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=30.0) as connection,
        connection.makefile("rb") as file,
    ):
        connection.sendall(request)
        return file.readline()


HEAD = (
    b"POST /amends.v1.Coordinator/GetSaga HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n%b\r\n\r\n"
)


async def test_a_body_that_says_that_it_is_too_large_is_not_waited_for(stage: HttpStage) -> None:
    """It is refused by its head."""
    head = HEAD % f"Content-Length: {MAX_BODY + 1}".encode()
    assert b" 413 " in await asyncio.to_thread(first_line, stage.http, head)


async def test_a_body_that_turns_out_to_be_too_large_is_not_read_on(stage: HttpStage) -> None:
    """Whoever sends without end is answered at the limit."""
    chunk = b"%x\r\n%b\r\n" % (MAX_BODY + 1, b" " * (MAX_BODY + 1))
    request = HEAD % b"Transfer-Encoding: chunked" + chunk
    assert b" 429 " in await asyncio.to_thread(first_line, stage.http, request)


async def test_a_body_of_the_greatest_size_is_read(stage: HttpStage) -> None:
    """What fills it up may be white space; an input at the limit of gRPC is refused as there."""
    body = json.dumps({"sagaId": "missing"}).encode().ljust(MAX_BODY)
    assert (await ask(stage.http, "GetSaga", body)).status == 404
    start = {"definitionName": "any", "input": struct({"text": "x" * (1 << 20)})}
    answer = await ask(stage.http, "StartSaga", start)
    assert (answer.status, "may take 1048576" in answer.content["message"]) == (400, True)


@pytest.mark.parametrize("noise", [bytes(range(256)), b"GET / HTTP/1.1\r\nno header\r\n\r\n"])
async def test_bytes_that_are_no_http_are_refused(stage: HttpStage, noise: bytes) -> None:
    """A port scanner, or worse."""
    assert b" 400 " in await asyncio.to_thread(first_line, stage.http, noise)


async def test_a_deadline_that_passes_is_told(stage: HttpStage) -> None:
    """Here while the request is still on its way."""
    request = HEAD % b"Connect-Timeout-Ms: 20\r\nContent-Length: 10" + b"{"
    assert b" 504 " in await asyncio.to_thread(first_line, stage.http, request)


async def test_more_connections_than_there_may_be_are_turned_away(stage: HttpStage) -> None:
    """With a status that says so; when others have gone, there is room again; gRPC always has it."""
    host, _, port = stage.http.rpartition(":")
    others = [await asyncio.open_connection(host, int(port)) for _ in range(MAX_CONNECTIONS)]
    request = HEAD % b"Content-Length: 2" + b"{}"
    assert b" 503 " in await asyncio.to_thread(first_line, stage.http, request)
    async with stage.client() as client:
        async for _ in client.definitions():
            pass
    for _, writer in others:
        writer.close()
    while b" 503 " in await asyncio.to_thread(first_line, stage.http, request):
        continue
