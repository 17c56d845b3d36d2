"""A service that knows nothing of Amends, called without a server."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends.errors import UsageError
from amends_coordinator.testing._contexts import Ending, LoopContext, Metadata, ThreadContext

log = logging.getLogger(__name__)


class PlainService:
    """A gRPC service that knows nothing of Amends, for steps that call its methods.

    ::

        shipping = PlainService("shipping").add(add_CarrierServicer_to_server, CarrierService(ledger))
        async with LocalCoordinator(payments, shipping) as coordinator:
            ...

    Its methods are the servicer's own, with the metadata that a coordinator sends along. Those that are
    coroutines run in the event loop, and others in threads, as they do in servers of the two kinds.

    Attributes:
        name: the participant that steps name.
    """

    def __init__(self, name: str) -> None:
        """Makes a service without methods; see `add`."""
        self.name = name
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}  # by SERVICE/METHOD
        self._open = False

    def __repr__(self) -> str:
        return f"<PlainService {self.name} {'open' if self._open else 'closed'}>"

    def add(self, add_to_server: Callable[[Any, Any], object], servicer: object) -> Self:
        """Adds a servicer, as it is added to a server. An address may serve several.

        Args:
            add_to_server: the function of the generated code, such as ``add_CarrierServicer_to_server``.
            servicer: whose methods are called.

        Raises:
            UsageError: there is one of the same service already, the messages of its methods are unknown, or
                the function adds nothing.
        """
        registrar = _Registrar()
        add_to_server(servicer, registrar)
        if not registrar.services:
            raise UsageError(
                f"{add_to_server!r} added no service: give the function add_..._to_server of generated code"
            )
        for each in registrar.services:
            service = each.service_name()
            if service in self.services:
                raise UsageError(f"{self.name!r} has a servicer of {service} already")
            try:
                methods = descriptor_pool.Default().FindServiceByName(service).methods_by_name
            except KeyError:
                raise UsageError(
                    f"the messages of {service} are unknown: they must come from code that protoc generated"
                ) from None
            for method in methods:
                handler = each.service(_Details(f"/{service}/{method}"))
                if handler is not None:
                    self._handlers[f"{service}/{method}"] = handler
        return self

    async def open(self) -> None:
        """Takes calls from now on. Raises ``UsageError`` if it does already."""
        if self._open:
            raise UsageError(f"plain service {self.name!r} is open already")
        self._open = True

    async def stop(self) -> None:
        """Fails calls as UNAVAILABLE from now on; those under way are answered."""
        self._open = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # For the kit

    @property
    def methods(self) -> list[str]:
        """Its methods, as SERVICE/METHOD."""
        return sorted(self._handlers)

    @property
    def services(self) -> set[str]:
        """The full names of its services."""
        return {method.partition("/")[0] for method in self._handlers}

    def known(self, symbols: Iterable[str]) -> list[str]:
        """Leaves out services that are not its own, though their code may be loaded."""
        return [symbol for symbol in symbols if symbol in self.services or not _is_service(symbol)]

    def unary_unary(self, path: str) -> Callable[..., Awaitable[bytes]]:
        """Makes what calls a method, as a channel to its server would: a path begins with a slash."""
        return partial(self._call, path.removeprefix("/"))

    async def _call(self, method: str, request: bytes, *, timeout: float, metadata: Metadata) -> bytes:
        """Calls a method. Raises ``grpc.aio.AioRpcError`` where it ends with a status that is not OK."""
        if not self._open:
            raise Ending(grpc.StatusCode.UNAVAILABLE, f"{self.name} is stopped").error()
        handler: Any = self._handlers.get(method)
        if handler is None or handler.unary_unary is None:
            raise Ending(grpc.StatusCode.UNIMPLEMENTED, f"{self.name} has no unary method {method}").error()
        response, ending = await _perform(handler, method, request, timeout, metadata)
        if ending.code is not grpc.StatusCode.OK:
            raise ending.error()
        return response


async def _perform(
    handler: Any, name: str, request: bytes, timeout: float, metadata: Metadata
) -> tuple[bytes, Ending]:
    """Has a servicer's method do its work; tells what it returned, and how the call ends."""
    method, response = handler.unary_unary, b""
    in_loop = inspect.iscoroutinefunction(method)
    context = LoopContext(timeout, metadata) if in_loop else ThreadContext(timeout, metadata)
    try:
        message = handler.request_deserializer(request)
        returned = await (
            method(message, context) if in_loop else asyncio.to_thread(method, message, context)
        )
        if context.ending.code is grpc.StatusCode.OK:
            response = handler.response_serializer(returned)
    except Exception as error:  # of a handler of the test, which a server would survive
        if not context.ending.aborted:
            log.exception("%s failed", name, extra={"action": "method_failed"})
            context.ending.fail(f"{name} raised {error!r}")
    context.over()
    return response, context.ending


def _is_service(symbol: str) -> bool:
    try:
        return descriptor_pool.Default().FindServiceByName(symbol) is not None
    except KeyError:
        return False


def files_of(symbols: Iterable[str]) -> FileDescriptorSet:
    """Finds the files of services and messages, with all that they import, in this process' generated code.

    What is not there is left out.
    """
    found: dict[str, FileDescriptor] = {}
    for symbol in symbols:
        with suppress(KeyError):
            _collect(descriptor_pool.Default().FindFileContainingSymbol(symbol), found)
    files = FileDescriptorSet()
    for file in found.values():
        file.CopyToProto(files.file.add())
    return files


def _collect(file: FileDescriptor, into: dict[str, FileDescriptor]) -> None:
    if file.name not in into:
        into[file.name] = file
        for imported in file.dependencies:
            _collect(imported, into)


@dataclass(slots=True)
class _Details:
    """What a server says of a call, for a service to find its method."""

    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class _Registrar:
    """The part of a server that generated code uses to add a servicer: keeps its services."""

    def __init__(self) -> None:
        self.services: list[grpc.ServiceRpcHandler] = []

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.ServiceRpcHandler]) -> None:
        """Takes services in the form that all generated code knows."""
        self.services += generic_rpc_handlers

    def add_registered_method_handlers(self, service_name: str, method_handlers: object) -> None:
        """Takes them in another form, of which there is no need."""
