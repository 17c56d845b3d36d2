"""What a service says of itself: its files, asked of it by the standard server reflection.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md. Version 1 is asked first, then v1alpha,
whose messages are the same, of a server that has no other.

A service may answer anything: what it sends is counted before it is read, and what it imports before it is
asked for. Megabytes of it are read in threads.
"""

import asyncio
from collections.abc import Iterable, Iterator

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2 as pb

from amends._linking import STANDARD_FILES

VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")

TIMEOUT = 5.0
"""Seconds for all that is asked of one service: a few round trips, and someone waits for them."""

MAX_FILES = 2_000
"""Files taken of one service, and with it the questions asked: the largest public API has fewer."""

MAX_BYTES = 16 << 20
"""Bytes taken of one service."""

MAX_ASKED = 16
"""Questions that one service is asked at a time: enough to hide the way there and back, and no burden."""


class NoReflectionError(Exception):
    """A service that cannot be asked what it offers: it has no server reflection, or none that works."""


async def reflect(channel: grpc.aio.Channel, symbols: Iterable[str]) -> FileDescriptorSet:
    """Asks for the files that describe symbols, with all that they import. Unknown symbols are left out.

    Args:
        channel: to the service.
        symbols: full names of services and messages.

    Raises:
        NoReflectionError: it offers no reflection.
        grpc.RpcError: it cannot be asked now.
    """
    wanted = sorted(set(symbols))
    for version in VERSIONS:
        try:
            return await _Questions(channel, version).files(wanted)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
    raise NoReflectionError("it offers no server reflection")


class _Questions:
    """What one service is asked, in one version of the protocol."""

    def __init__(self, channel: grpc.aio.Channel, version: str) -> None:
        # The protocol is a stream both ways. A stream of one question looks the same to the server, and to us
        # a status that meets it on its way is not lost, as it can be where a stream is written to.
        self._ask: grpc.aio.UnaryStreamMultiCallable[pb.ServerReflectionRequest, bytes] = (
            channel.unary_stream(
                f"/{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=pb.ServerReflectionRequest.SerializeToString,
            )
        )
        self._deadline = asyncio.get_running_loop().time() + TIMEOUT
        self._asked: set[str] = set()  # names of files
        self._files: dict[str, FileDescriptorProto] = {}
        self._imported: set[str] = set()  # names of files, but for those that all have
        self._bytes = 0
        self._taking = asyncio.Lock()

    async def files(self, symbols: list[str]) -> FileDescriptorSet:
        """Asks about symbols, and then for what the files import, until nothing is missing."""
        questions = [pb.ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols]
        while questions:
            waiting = iter(questions)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(min(MAX_ASKED, len(questions))):
                        tasks.create_task(self._ask_all(waiting))
            except ExceptionGroup as failed:  # of one, the others were ended
                raise failed.exceptions[0] from None
            missing = sorted(self._imported - self._asked - self._files.keys())
            if len(self._files) + len(missing) > MAX_FILES:
                raise _too_much()
            self._asked.update(missing)
            questions = [pb.ServerReflectionRequest(file_by_filename=name) for name in missing]
        return await asyncio.to_thread(self._together)

    async def _ask_all(self, waiting: Iterator[pb.ServerReflectionRequest]) -> None:
        """Asks the questions that wait, one after the other; several do so at a time."""
        for question in waiting:
            answer = await self._answer(question)
            async with self._taking:
                await asyncio.to_thread(self._take, answer)

    async def _answer(self, question: pb.ServerReflectionRequest) -> bytes:
        left = self._deadline - asyncio.get_running_loop().time()
        answers = self._ask(question, timeout=max(left, 0.0))
        try:
            answer = await answers.read()
        finally:
            answers.cancel()
        if not isinstance(answer, bytes):  # the end of the stream
            raise _no_answer()
        return answer

    def _take(self, data: bytes) -> None:
        """Takes the files of an answer. One that is an error has none: there is no such thing."""
        self._bytes += len(data)
        if self._bytes > MAX_BYTES:
            raise _too_much()
        try:
            answer = pb.ServerReflectionResponse.FromString(data)
        except DecodeError as error:
            raise _no_answer() from error
        files = answer.file_descriptor_response.file_descriptor_proto
        if len(files) > MAX_FILES:
            raise _too_much()
        for each in files:
            self._take_file(each)

    def _take_file(self, data: bytes) -> None:
        try:
            file = FileDescriptorProto.FromString(data)
        except DecodeError as error:
            raise _no_file() from error
        if len(file.dependency) > MAX_FILES:
            raise _too_much()
        # Names that are no text come as bytes.
        if not all(isinstance(name, str) for name in (file.name, *file.dependency)):
            raise _no_file()
        self._files[file.name] = file
        self._imported.update(name for name in file.dependency if name not in STANDARD_FILES)
        if max(len(self._files), len(self._imported)) > MAX_FILES:
            raise _too_much()

    def _together(self) -> FileDescriptorSet:
        """All files. They are copied one by one, so that other threads get their turn."""
        together = FileDescriptorSet()
        for file in self._files.values():
            together.file.append(file)
        return together


def _no_file() -> NoReflectionError:
    return NoReflectionError("its server reflection sent what is no file")


def _no_answer() -> NoReflectionError:
    return NoReflectionError("its server reflection does not answer as it should")


def _too_much() -> NoReflectionError:
    return NoReflectionError("its server reflection sent more than can be taken")
