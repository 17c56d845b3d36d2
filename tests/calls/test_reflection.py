"""Server reflection: what services answer of themselves, in both versions, and rightly or wrongly."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2 as pb

from amends_coordinator.calls import reflection
from amends_coordinator.calls.reflection import NoReflectionError, reflect
from amends_coordinator.descriptors.types import Types
from tests.descriptors import acme

V1, V1ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"

FILES = {file.name: file for file in acme.files().file}

Answer = Callable[[pb.ServerReflectionRequest], "bytes | None"]


def of_file(*names: str) -> bytes:
    data = [FILES[name].SerializeToString() for name in names]
    return pb.ServerReflectionResponse(
        file_descriptor_response=pb.FileDescriptorResponse(file_descriptor_proto=data)
    ).SerializeToString()


def unknown() -> bytes:
    error = pb.ErrorResponse(error_code=grpc.StatusCode.NOT_FOUND.value[0], error_message="no such thing")
    return pb.ServerReflectionResponse(error_response=error).SerializeToString()


def one_file_at_a_time(question: pb.ServerReflectionRequest) -> bytes:
    """As servers answer that leave it to the client to ask for imports."""
    if question.file_containing_symbol in ("acme.v1.Carrier", "acme.v1.Order"):
        return of_file("acme/carrier.proto")
    return of_file(question.file_by_filename) if question.file_by_filename in FILES else unknown()


def importing(*names: str) -> Answer:
    """A server whose only file imports others, of which it knows nothing."""
    file = descriptor_pb2.FileDescriptorProto(name="acme/carrier.proto", dependency=names)
    found = pb.FileDescriptorResponse(file_descriptor_proto=[file.SerializeToString()])
    answer = pb.ServerReflectionResponse(file_descriptor_response=found).SerializeToString()
    return lambda question: answer if question.file_containing_symbol else unknown()


class Server:
    """A server with reflection of some versions, that answers as a test says."""

    def __init__(self, versions: Iterable[str], answer: Answer = one_file_at_a_time) -> None:
        self.asked: list[str] = []
        self.asked_at_a_time = 0  # at most
        self.held = ""  # the question that is not answered
        self.given_up = asyncio.Event()  # set once the client waits no more for that answer
        self._under_way = 0
        self._answer = answer
        self._server = grpc.aio.server()
        for version in versions:
            handler = grpc.stream_stream_rpc_method_handler(
                self._answers, pb.ServerReflectionRequest.FromString, None
            )
            name = f"{version}.ServerReflection"
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
            )

    async def start(self) -> str:
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(None)

    async def _answers(
        self,
        questions: AsyncIterator[pb.ServerReflectionRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[bytes]:
        async for question in questions:
            answer = await self._answered(question)
            if answer is None:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")
            else:
                yield answer

    async def _answered(self, question: pb.ServerReflectionRequest) -> bytes | None:
        self._under_way += 1
        self.asked_at_a_time = max(self.asked_at_a_time, self._under_way)
        self.asked.append(question.file_containing_symbol or question.file_by_filename)
        try:
            # The others get their turn first; one that is held back waits until it is cancelled.
            await (asyncio.Event().wait() if self.asked[-1] == self.held else asyncio.sleep(0))
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        finally:
            self._under_way -= 1
        return self._answer(question)


async def files_of(server: Server, *symbols: str) -> descriptor_pb2.FileDescriptorSet:
    address = await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            return await asyncio.wait_for(reflect(channel, symbols), 10)
    finally:
        await server.stop()


@pytest.mark.parametrize("versions", [(V1,), (V1ALPHA,), (V1, V1ALPHA)])
async def test_all_files_are_found_in_either_version(versions: tuple[str, ...]) -> None:
    server = Server(versions)
    found = await files_of(server, "acme.v1.Carrier", "acme.v1.Order")
    assert Types(found).method("acme.v1.Carrier/Book") is not None
    assert sorted(server.asked) == ["acme.v1.Carrier", "acme.v1.Order", "acme/money.proto"]


async def test_imports_that_come_along_are_not_asked_for() -> None:
    server = Server((V1,), lambda _question: of_file(*FILES))
    assert len((await files_of(server, "acme.v1.Carrier")).file) == 2
    assert server.asked == ["acme.v1.Carrier"]


async def test_what_is_not_known_is_left_out() -> None:
    assert not (await files_of(Server((V1,)), "acme.v1.Nope")).file


async def test_nothing_is_asked_about_nothing() -> None:
    server = Server((V1,))
    assert not (await files_of(server)).file
    assert server.asked == []


async def test_a_service_without_reflection_says_so() -> None:
    with pytest.raises(NoReflectionError, match="it offers no server reflection"):
        await files_of(Server(()), "acme.v1.Carrier")


async def test_a_service_that_may_not_be_asked_says_so() -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await files_of(Server((V1,), lambda _question: None), "acme.v1.Carrier")
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflect(channel, ["acme.v1.Carrier"])
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_what_is_no_answer_is_told() -> None:
    with pytest.raises(NoReflectionError, match="does not answer as it should"):
        await files_of(Server((V1,), lambda _question: b"\xff"), "acme.v1.Carrier")
    garbage = pb.ServerReflectionResponse(
        file_descriptor_response=pb.FileDescriptorResponse(file_descriptor_proto=[b"\xff"])
    ).SerializeToString()
    with pytest.raises(NoReflectionError, match="sent what is no file"):
        await files_of(Server((V1,), lambda _question: garbage), "acme.v1.Carrier")


async def test_more_than_can_be_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflection, "MAX_FILES", 1)
    with pytest.raises(NoReflectionError, match="sent more than can be taken"):
        await files_of(Server((V1,)), "acme.v1.Carrier")


async def test_files_are_not_asked_for_that_are_more_than_can_be_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file can name any number of imports: each would be a question, and then some."""
    monkeypatch.setattr(reflection, "MAX_FILES", 10)
    server = Server((V1,), importing(*(f"acme/{number}.proto" for number in range(11))))
    with pytest.raises(NoReflectionError, match="sent more than can be taken"):
        await files_of(server, "acme.v1.Carrier")
    server = Server((V1,), importing(*(f"acme/{number}.proto" for number in range(10))))
    with pytest.raises(NoReflectionError, match="sent more than can be taken"):
        await files_of(server, "acme.v1.Carrier")
    assert server.asked == ["acme.v1.Carrier"]


async def test_files_are_counted_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflection, "MAX_FILES", 2)
    with pytest.raises(NoReflectionError, match="sent more than can be taken"):
        await files_of(Server((V1,), lambda _question: of_file(*FILES, *FILES)), "acme.v1.Carrier")


async def test_bytes_are_counted_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflection, "MAX_BYTES", 10)
    with pytest.raises(NoReflectionError, match="sent more than can be taken"):
        await files_of(Server((V1,), lambda _question: b"\xff" * 11), "acme.v1.Carrier")


@pytest.mark.parametrize("name", [b"acme/carrier.proto", b"acme/money.proto"])
async def test_a_file_whose_name_is_no_text_is_told(name: bytes) -> None:
    """Be it its own, or one that it imports."""
    garbage = of_file("acme/carrier.proto").replace(name, b"\xff" + name[1:])
    with pytest.raises(NoReflectionError, match="sent what is no file"):
        await files_of(Server((V1,), lambda _question: garbage), "acme.v1.Carrier")


async def test_few_questions_are_asked_at_a_time() -> None:
    server = Server((V1,), importing(*(f"acme/{number}.proto" for number in range(100))))
    assert len((await files_of(server, "acme.v1.Carrier")).file) == 1
    assert len(server.asked) == 101
    assert server.asked_at_a_time <= reflection.MAX_ASKED


async def test_when_one_question_fails_the_others_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for their answers any more."""
    monkeypatch.setattr(reflection, "TIMEOUT", 1_000.0)
    server = Server((V1,), lambda question: None)
    server.held = "acme.v1.Carrier"
    address = await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await asyncio.wait_for(reflect(channel, ["acme.v1.Carrier", "acme.v1.Order"]), 10)
        await asyncio.wait_for(server.given_up.wait(), 10)
    await server.stop()


async def test_the_loop_is_not_held_up_by_large_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()

    def noted(work: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any) -> Any:
            threads.add(threading.get_ident())
            return work(*args)

        return note

    for name in ("_take", "_together"):
        monkeypatch.setattr(reflection._Questions, name, noted(getattr(reflection._Questions, name)))
    await files_of(Server((V1,)), "acme.v1.Carrier")
    assert threads
    assert threading.get_ident() not in threads
