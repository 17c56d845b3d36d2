"""Services of other companies, made of nothing but the text of their protos."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection

from protos.generate import compiler

Answer = Callable[[str, Any, Any], None]
"""Fills in the response of a method, given its name, the request, and the response with nothing in it."""


class Vendor:
    """A gRPC server that offers the one service of a proto, with reflection, and keeps what it was asked."""

    def __init__(self, folder: Path, file: str, text: str, answer: Answer) -> None:
        """Compiles a proto, by the name of its file, and has its methods answered."""
        folder.mkdir()
        (folder / file).write_text(text)
        compiled = folder / "all.binpb"
        flags = ["--include_imports", f"--descriptor_set_out={compiled}"]
        subprocess.run([*compiler(folder), *flags, file], check=True)
        self.pool = DescriptorPool()
        for each in FileDescriptorSet.FromString(compiled.read_bytes()).file:
            self.pool.Add(each)
        self.service: ServiceDescriptor
        (self.service,) = self.pool.FindFileByName(file).services_by_name.values()
        self.asked: list[tuple[str, Message]] = []  # the methods by name, and their requests
        self._answer = answer
        self._server = grpc.aio.server()

    async def start(self) -> str:
        """Serves, and returns the address."""
        handlers = {
            method.name: grpc.unary_unary_rpc_method_handler(
                self._handler(method.name, message_factory.GetMessageClass(method.output_type)),
                message_factory.GetMessageClass(method.input_type).FromString,
                lambda response: response.SerializePartialToString(),  # as other languages may do
            )
            for method in self.service.methods
        }
        name = self.service.full_name
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers)])
        reflection.enable_server_reflection([name], self._server, pool=self.pool)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        """Serves no more."""
        await self._server.stop(None)

    def message(self, name: str, **fields: Any) -> Any:
        """A message of the vendor's, by its full name."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))(**fields)

    def _handler(self, name: str, gives: type[Message]) -> Callable[[Any, Any], Any]:
        async def handle(request: Any, _context: Any) -> Message:
            self.asked.append((name, request))
            response = gives()
            self._answer(name, request, response)
            return response

        return handle
