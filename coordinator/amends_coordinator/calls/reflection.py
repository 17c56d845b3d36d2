"""What a service says of itself: its files, asked of it by the standard server reflection.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md. Version 1 is asked first, then v1alpha,
whose messages are the same, of a server that has no other.
"""

import asyncio
from collections.abc import Iterable

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
        self._ask = channel.unary_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=pb.ServerReflectionRequest.SerializeToString,
            response_deserializer=pb.ServerReflectionResponse.FromString,
        )
        self._deadline = asyncio.get_running_loop().time() + TIMEOUT
        self._asked: set[str] = set(STANDARD_FILES)  # files that need not be asked for any more
        self._files: dict[str, FileDescriptorProto] = {}
        self._bytes = 0

    async def files(self, symbols: list[str]) -> FileDescriptorSet:
        """Asks about symbols, and then for what the files import, until nothing is missing."""
        questions = [pb.ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols]
        while questions:
            for answer in await asyncio.gather(*map(self._answer, questions)):
                self._take(answer)
            imported = {name for file in self._files.values() for name in file.dependency}
            missing = sorted(imported - self._asked - self._files.keys())
            self._asked.update(missing)
            questions = [pb.ServerReflectionRequest(file_by_filename=name) for name in missing]
        return FileDescriptorSet(file=self._files.values())

    async def _answer(self, question: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        left = self._deadline - asyncio.get_running_loop().time()
        answers = self._ask(question, timeout=max(left, 0.0))
        try:
            answer = await answers.read()
        finally:
            answers.cancel()
        if not isinstance(
            answer, pb.ServerReflectionResponse
        ):  # the end of the stream, or what is no message
            raise NoReflectionError("its server reflection does not answer as it should")
        return answer

    def _take(self, answer: pb.ServerReflectionResponse) -> None:
        """Takes the files of an answer. One that is an error has none: there is no such thing."""
        for data in answer.file_descriptor_response.file_descriptor_proto:
            self._bytes += len(data)
            try:
                file = FileDescriptorProto.FromString(data)
            except DecodeError as error:
                raise NoReflectionError("its server reflection sent what is no file") from error
            self._files[file.name] = file
        if self._bytes > MAX_BYTES or len(self._files) > MAX_FILES:
            raise NoReflectionError("its server reflection sent more than can be taken")
