"""Sends bytes to servers, and judges their answers."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

AT_ONCE = 32
"""Messages under way."""

PATIENCE_S = 5.0
"""For one answer. Only an RPC that waits on purpose may take it."""

UNREADABLE = ("INTERNAL", "UNKNOWN")
"""What gRPC says by itself of bytes that are no message."""

_ABOUT_PYTHON = re.compile(r"Traceback|Unexpected <class|Error\(|object at 0x|its log (says|tells) how")
"""What a message has in it where we failed, and not the client."""


@dataclass
class Wire:
    """One service, by the bytes of its messages."""

    channel: grpc.aio.Channel
    service: ServiceDescriptor

    async def send_all(self, method: str, messages: Sequence[bytes]) -> list[str]:
        """Sends messages, some at a time; returns what is wrong with the answers, one line each."""
        described = self.service.methods_by_name[method]
        room = asyncio.Semaphore(AT_ONCE)

        async def send(data: bytes) -> str:
            async with room:
                return self._judge(described, data, await self._send(described, data))

        return [wrong for wrong in await asyncio.gather(*map(send, messages)) if wrong]

    async def _send(self, method: MethodDescriptor, data: bytes) -> tuple[str, str]:
        path = f"/{self.service.full_name}/{method.name}"
        try:
            if method.client_streaming:
                stream = self.channel.stream_stream(path)(timeout=PATIENCE_S)
                await stream.write(data)
                await stream.done_writing()
                async for _ in stream:
                    pass
            elif method.server_streaming:
                async for _ in self.channel.unary_stream(path)(data, timeout=PATIENCE_S):
                    pass
            else:
                await self.channel.unary_unary(path)(data, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""
        except asyncio.InvalidStateError:  # grpc.aio's word for a stream that ended while it was written to
            return "CANCELLED", ""
        return "OK", ""

    def _judge(self, method: MethodDescriptor, data: bytes, answer: tuple[str, str]) -> str:
        """Says what is wrong with an answer; nothing, if it is a clear one."""
        code, words = answer
        readable = is_message(GetMessageClass(method.input_type), data)
        if not readable and code in UNREADABLE:
            return ""
        if code in UNREADABLE or _ABOUT_PYTHON.search(words):
            return f"{method.name} {data[:200]!r}: {code} {words}"
        if code == "DEADLINE_EXCEEDED" and method.name not in ("StartSaga", "StartSagas", "WatchSaga"):
            return f"{method.name} {data[:200]!r}: not answered within {PATIENCE_S:g} s"
        return ""


def is_message(kind: type[Message], data: bytes) -> bool:
    """Whether bytes can be parsed at all."""
    try:
        kind.FromString(data)
    except DecodeError:
        return False
    return True


def memory_of(pid: int) -> int:
    """The bytes of memory that a process holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found, "Linux tells how much memory a process holds"
    return int(found[1]) * 1024
