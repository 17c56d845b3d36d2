"""Hostile input, at every RPC and on a real file: whatever arrives is answered, and the service goes on."""

import base64
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2, timestamp_pb2

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import saga_pb2
from amends_coordinator.api.requests import _digest
from amends_coordinator.store import SqliteStore
from amends_coordinator.store.interface import Filter
from tests.api.service_world import Service, definition, failure, service, start_request, text

SERVICE = pb.DESCRIPTOR.services_by_name["Coordinator"]
LONG = duration_pb2.Duration(seconds=60)
FAR_AWAY = 2**63 - 1


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Service]:
    """A service on a real file."""
    store = await SqliteStore.open(tmp_path / "amends.db")
    async with service(store) as running:
        yield running
    await store.close()


async def _still_serves(s: Service) -> None:
    saga = await s.begin("", wait=LONG)
    assert saga.state == saga_pb2.Saga.COMPLETED


async def _code(s: Service, method: str, data: bytes) -> str:
    """Sends bytes as a request, and tells the code of what comes back; that it is no mistake of ours, too."""
    code, details = "OK", ""
    try:
        await _send(s, method, data)
    except grpc.aio.AioRpcError as error:
        code, details = error.code().name, error.details() or ""
    assert "its log says how" not in details
    return code


async def _send(s: Service, method: str, data: bytes) -> None:
    described = SERVICE.methods_by_name[method]
    path = f"/{SERVICE.full_name}/{method}"
    if described.client_streaming:
        stream = s.channel.stream_stream(path)(timeout=5.0)
        await stream.write(data)
        await stream.done_writing()
        async for _ in stream:
            pass
    elif described.server_streaming:
        async for _ in s.channel.unary_stream(path)(data, timeout=5.0):
            pass
    else:
        await s.channel.unary_unary(path)(data, timeout=5.0)


METHODS = pytest.mark.parametrize("method", [each.name for each in SERVICE.methods])


@METHODS
async def test_bytes_that_are_no_message_are_refused(s: Service, method: str) -> None:
    """By whatever code gRPC has for it; nothing hangs and nothing breaks."""
    for data in (b"\xff" * 20, b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 500):
        assert await _code(s, method, data) not in ("OK", "DEADLINE_EXCEEDED")
    await _still_serves(s)


@METHODS
async def test_random_bytes_and_damaged_messages_break_nothing(s: Service, method: str) -> None:
    """Sixty of them, from a seed; what they happen to mean is answered, by an error or not."""
    chance = random.Random(method)
    request = start_request("a", input=text("hello"), labels={"color": "red"}, wait=duration_pb2.Duration())
    whole = request.SerializeToString()
    for number in range(60):
        data = bytearray(whole if number % 2 else chance.randbytes(chance.randrange(1, 60)))
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert await _code(s, method, bytes(data)) != "DEADLINE_EXCEEDED"
    await _still_serves(s)


@pytest.mark.parametrize("method", ["StartSaga", "StartSagas", "WatchSaga"])
async def test_a_message_that_is_too_large_is_refused(s: Service, method: str) -> None:
    """By gRPC, before it is read."""
    assert await _code(s, method, b"\x00" * (17 << 20)) == "RESOURCE_EXHAUSTED"
    await _still_serves(s)


@pytest.mark.parametrize("moment", [FAR_AWAY, -FAR_AWAY, 253_402_300_800, -62_135_596_801])
@pytest.mark.parametrize("field", ["created_from", "created_before"])
async def test_moments_beyond_the_calendar_are_answered(s: Service, field: str, moment: int) -> None:
    """By a page or by INVALID_ARGUMENT; a store that counts in 64 bits must not be asked for more."""
    await s.begin("a", wait=LONG)
    request = pb.ListSagasRequest(**{field: timestamp_pb2.Timestamp(seconds=moment)})  # type: ignore[arg-type]
    assert await _code(s, "ListSagas", request.SerializeToString()) in ("OK", "INVALID_ARGUMENT")


@pytest.mark.parametrize("seconds", [FAR_AWAY, -FAR_AWAY, -1])
async def test_waits_beyond_all_bounds_are_waits(s: Service, seconds: int) -> None:
    """Longer than allowed is as long as allowed; below zero is not at all."""
    await s.begin("a", wait=duration_pb2.Duration(seconds=seconds))


@pytest.mark.parametrize("seconds", [FAR_AWAY, -FAR_AWAY, 0])
async def test_durations_beyond_all_bounds_are_refused(s: Service, seconds: int) -> None:
    """In every place of a definition."""
    duration = duration_pb2.Duration(seconds=seconds)
    for broken in (definition("reserve", timeout=duration), definition("reserve"), definition("reserve")):
        if not broken.HasField("timeout"):
            broken.steps[0].timeout.CopyFrom(duration)
        assert (await failure(s.begin("a", definition=broken))).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -1.0])
async def test_a_factor_that_is_no_number_is_refused(s: Service, factor: float) -> None:
    """Nothing would ever be due."""
    broken = definition("reserve")
    broken.steps[0].retry.backoff_multiplier = factor
    refused = await failure(s.begin("a", definition=broken))
    assert refused.fields == ["definition.steps[0].retry.backoff_multiplier"]


@pytest.mark.parametrize(
    "place",
    [
        ["Infinity", "a"],
        ["-Infinity", "a"],
        ["NaN", "a"],
        ["1e300", "a"],
        ["1.0", "\ud800"],
        ["1.0", "\0"],
        ["1.0", "x" * 100_000],
        ["[]", "a"],
    ],
)
async def test_a_forged_token_is_refused_or_leads_to_a_page(s: Service, place: list[str]) -> None:
    """Anybody can make one; it must not get further than the door with what the store cannot take."""
    content = f"[{json.dumps(_digest(Filter()))}, {place[0]}, {json.dumps(place[1])}]"
    token = base64.urlsafe_b64encode(content.encode()).decode()
    request = pb.ListSagasRequest(page_token=token)
    assert await _code(s, "ListSagas", request.SerializeToString()) in ("OK", "INVALID_ARGUMENT")


@pytest.mark.parametrize("token", ["\0", "x" * 100_000, "ä", "zzzz"])
async def test_any_token_of_definitions_leads_to_a_page(s: Service, token: str) -> None:
    """It is the name after which the page begins."""
    await s.call("ListDefinitions", pb.ListDefinitionsRequest(page_token=token))


@pytest.mark.parametrize("number", [FAR_AWAY, -(2**63)])
async def test_numbers_at_the_end_of_their_range_are_answered(s: Service, number: int) -> None:
    """A version, a sequence number, a page size."""
    await s.begin("a", wait=LONG)
    request = pb.WatchSagaRequest(saga_id="a", after_sequence=number)
    events = [event async for event in s.stub.WatchSaga(request, timeout=5.0)]
    assert len(events) == (0 if number > 0 else 5)
    missed = await failure(s.call("GetDefinition", pb.GetDefinitionRequest(name="a", version=number)))
    assert missed.code in ("NOT_FOUND", "INVALID_ARGUMENT")
    page = pb.ListSagasRequest(page_size=2**31 - 1)
    assert len((await s.call("ListSagas", page)).sagas) == 1


async def test_a_payload_may_be_any_bytes(s: Service) -> None:
    """The coordinator passes it on; what is in it is the business of others."""
    for number, data in enumerate((b"", b"\0", b"\xff" * 1_000, bytes(range(256)))):
        request = start_request(f"s{number}", wait=LONG, input={"type_url": "a/b", "value": data})
        saga = await s.call("StartSaga", request)
        assert (saga.state, saga.input.value) == (saga_pb2.Saga.COMPLETED, data)


async def test_a_payload_with_a_type_as_long_as_a_book_is_refused(s: Service) -> None:
    """It is stored and sent like the rest of the payload."""
    request = start_request("a", input={"type_url": "x" * 513})
    assert (await failure(s.call("StartSaga", request))).fields == ["input.type_url"]


@pytest.mark.parametrize("words", ["\0", "a\0b", "\u2028", "🐌" * 1_000, "'; DROP TABLE sagas; --"])
async def test_words_for_the_log_may_be_any_words(s: Service, words: str) -> None:
    """They come out as they went in."""
    s.shop.script["reserve"] = None
    await s.begin("a")
    await s.held()
    saga = await s.call("CancelSaga", pb.CancelSagaRequest(saga_id="a", reason=words))
    assert saga.turn_back.message == words
    await s.restart()
    again = await s.call("GetSaga", pb.GetSagaRequest(saga_id="a"))
    assert again.turn_back.message == words


@pytest.mark.parametrize("value", ["", "'", '"', "ä", "🐌", "x" * 256, "a b", "\\", "{}", "null"])
async def test_a_label_is_found_by_any_value_it_may_have(s: Service, value: str) -> None:
    """Quotes, escapes and all."""
    await s.begin("a", labels={"key": value}, wait=LONG)
    found = await s.call("ListSagas", pb.ListSagasRequest(labels={"key": value}))
    assert [dict(each.labels) for each in found.sagas] == [{"key": value}]


async def test_json_that_is_nested_beyond_reason_is_a_payload_like_any_other(s: Service) -> None:
    """Comparing it with that of a repetition must not exhaust anything."""
    nested = b"\x18\x00"
    for _ in range(5_000):
        nested = (
            b"\x32"
            + _varint(len(nested) + len(_varint(len(nested))) + 1)
            + b"\x0a"
            + _varint(len(nested))
            + nested
        )
    fields: dict[str, Any] = {"type_url": "type.googleapis.com/google.protobuf.Value"}
    await s.call("StartSaga", start_request("a", input={**fields, "value": nested}))
    other = start_request("a", input={**fields, "value": nested + b"\x18\x00"})
    assert (await failure(s.call("StartSaga", other))).code == "ALREADY_EXISTS"


def _varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])
