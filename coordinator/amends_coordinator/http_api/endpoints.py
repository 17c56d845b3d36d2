"""The methods of the coordinator as endpoints of the Connect library: the same service object answers.

The library knows the protocol: deadlines, callers that went away, bodies that are too large, the HTTP status
of an error. It hands bodies through as they are, so that `Converter` can take its time with them.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc
from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf import any_pb2, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from protobuf import Message as LibraryMessage
from protobuf import wkt

from amends.v1 import coordinator_pb2
from amends_coordinator.api.errors import to_status
from amends_coordinator.api.service import CoordinatorService
from amends_coordinator.http_api.bodies import MAX_BODY
from amends_coordinator.http_api.converting import Converter

SERVICE: Final = coordinator_pb2.DESCRIPTOR.services_by_name["Coordinator"]

PREFIX: Final = f"/{SERVICE.full_name}/"
"""What the path of every method begins with."""

Endpoints = Mapping[str, Any]  # the library keeps the names of its kinds of endpoints to itself
Request = RequestContext[bytes, bytes]


class Application(ConnectASGIApplication[CoordinatorService]):
    """An ASGI application whose paths are the unary methods of the coordinator."""

    def __init__(self, service: CoordinatorService, converter: Converter) -> None:
        """Has a service answer."""
        super().__init__(
            service=service,
            endpoints=lambda service: _endpoints(service, converter),
            read_max_bytes=MAX_BODY,
            compressions=(),  # unpacking would hold up the loop, with many small parts for very long
            codecs=(_Untouched(),),
        )

    @property
    def path(self) -> str:
        """Where it is meant to be mounted."""
        return PREFIX.rstrip("/")


class _Untouched:
    """Leaves bodies of JSON to the endpoints."""

    def name(self) -> str:
        return "json"

    def encode(self, message: bytes) -> bytes:
        return message

    def decode(self, data: bytes | bytearray, message_class: type[bytes]) -> bytes:
        return message_class(data)


def unary_methods() -> list[str]:
    """The names of the methods that have an endpoint."""
    return [method.name for method in SERVICE.methods if _is_unary(method)]


def streaming_methods() -> list[str]:
    """The names of the methods that have none."""
    return [method.name for method in SERVICE.methods if not _is_unary(method)]


def _is_unary(method: MethodDescriptor) -> bool:
    return not (method.client_streaming or method.server_streaming)


def _endpoints(service: CoordinatorService, converter: Converter) -> Endpoints:
    return {
        f"{PREFIX}{name}": _endpoint(SERVICE.methods_by_name[name], getattr(service, name), converter)
        for name in unary_methods()
    }


def _endpoint(method: MethodDescriptor, answer: Any, converter: Converter) -> Any:
    kind: type[Message] = message_factory.GetMessageClass(method.input_type)

    async def call(body: bytes, request: Request) -> bytes:
        try:
            message = await converter.read(body, kind)
            return await converter.write(await answer(message, _Call(request)))
        except ConnectError:
            raise
        except Exception as error:  # to_status tells the foreseen from the unforeseen
            raise _told(to_status(error)) from error

    info = MethodInfo(
        name=method.name,
        service_name=SERVICE.full_name,
        input=bytes,
        output=bytes,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.UNARY,
    )
    return Endpoint.unary(info, call)


class _Call:
    """What the methods of the service ask of the RPC around them, told of an HTTP request."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def time_remaining(self) -> float | None:
        """Seconds until the deadline that `Connect-Timeout-Ms` has set; None without one."""
        left = self._request.timeout_ms
        return None if left is None else left / 1_000

    def invocation_metadata(self) -> list[tuple[str, str]]:
        """The headers, by names in lower case."""
        return list(self._request.request_headers.allitems())

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """Fails the request. Raises ConnectError."""
        packed = dict(status.trailing_metadata)["grpc-status-details-bin"]
        raise _told(status_pb2.Status.FromString(packed))


def _told(status: status_pb2.Status) -> ConnectError:
    code = Code[code_pb2.Code.Name(status.code)]
    return ConnectError(code, status.message, [_Detail(detail) for detail in status.details])


class _Detail(ErrorDetail):
    """A detail of an error, which shows beside its bytes what they say.

    The library does that for messages of its own kind of protobuf alone; among these, a Struct can say what
    any message says in JSON.
    """

    def __init__(self, detail: any_pb2.Any) -> None:
        super().__init__(wkt.Any(type_url=detail.type_url, value=detail.value))
        shown = json_format.MessageToDict(detail)
        del shown["@type"]
        self._shown = wkt.Struct.from_python(shown)

    def value(self, desc_or_registry: object = None, /) -> LibraryMessage | None:  # type: ignore[override] # of no use here
        """What the detail says, as a Struct, whatever is asked for."""
        return self._shown
