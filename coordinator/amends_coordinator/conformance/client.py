"""Calls of a coordinator's client, and what the contract allows as their end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from amends import new_saga_id
from amends._payload import pack
from amends.v1 import coordinator_pb2 as pb
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.conformance.probe import Probe
from amends_coordinator.conformance.results import NonconformingError
from amends_coordinator.conformance.row import Line

PATIENCE: Final = 15.0
"""Seconds for one call, or for a saga to end: a busy coordinator needs a fraction of one."""

DOMAIN: Final = "amends"
"""The domain of every ErrorInfo."""


class Client:
    """A client of the coordinator, with the kit's participant behind it."""

    def __init__(self, channel: grpc.aio.Channel, stub: Any, participant: str, probe: Probe) -> None:
        """Makes a client.

        Args:
            channel: leads to the coordinator.
            stub: of the service, over the channel.
            participant: what the coordinator calls the kit's participant.
            probe: what stands behind that name.
        """
        self.channel = channel
        self.stub = stub
        self.probe = probe
        self._participant = participant

    # Requests

    def definition(self, *actions: str) -> saga_pb2.Definition:
        """A definition of a new name, with a step for each action, called one, two and so on."""
        names = ("one", "two", "three")
        steps = [
            saga_pb2.Step(name=name, participant=self._participant, action=action)
            for name, action in zip(names, actions, strict=False)
        ]
        return saga_pb2.Definition(name=f"conformance-{new_saga_id()}", steps=steps)

    def a_start(self, *actions: str, label: str = "", **fields: Any) -> pb.StartSagaRequest:
        """A request to start a saga of a new id and an inline definition."""
        return pb.StartSagaRequest(
            saga_id=f"conformance-{new_saga_id()}",
            definition=self.definition(*actions),
            input=pack({"by": "conformance"}),
            labels={"conformance": label} if label else {},
            **fields,
        )

    # Calls

    async def call(self, method: str, request: Message) -> Any:
        """Makes a unary call that should go well."""
        try:
            return await getattr(self.stub, method)(request, timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            raise NonconformingError(f"{method} failed with {_in_words(error)}") from error

    async def started(self, *actions: str, label: str = "") -> str:
        """Starts a saga and returns its id."""
        request = self.a_start(*actions, label=label)
        return str((await self.call("StartSaga", request)).id)

    async def held(self, *actions: str) -> str:
        """Starts a saga and returns its id once the coordinator knows that a step of it is pending."""
        saga_id = await self.started(*actions)
        async with self.watching(saga_id) as events:
            async for event in events:
                if event.WhichOneof("fact") == "attempt_pending":
                    return saga_id
        raise NonconformingError("the watch of a saga that goes on has ended")

    async def events(self, saga_id: str, **fields: Any) -> list[event_pb2.Event]:
        """Watches a saga to the end of the stream."""
        async with self.watching(saga_id, **fields) as events:
            return [event async for event in events]

    @asynccontextmanager
    async def watching(self, saga_id: str, **fields: Any) -> AsyncIterator[AsyncIterator[event_pb2.Event]]:
        """Watches a saga; an error of the stream, or none of its events in time, is no conforming end."""
        stream = self.stub.WatchSaga(pb.WatchSagaRequest(saga_id=saga_id, **fields), timeout=PATIENCE)
        try:
            yield stream
        except grpc.aio.AioRpcError as error:
            raise NonconformingError(f"WatchSaga failed with {_in_words(error)}") from error
        finally:
            stream.cancel()

    async def ended(self, saga_id: str) -> saga_pb2.Saga:
        """Waits for the end of a saga and returns it."""
        await self.events(saga_id)
        saga: saga_pb2.Saga = await self.call("GetSaga", pb.GetSagaRequest(saga_id=saga_id))
        return saga

    async def cancelled(self, saga_id: str) -> saga_pb2.Saga:
        """Cancels a saga, waits for its end, and returns it."""
        await self.call("CancelSaga", pb.CancelSagaRequest(saga_id=saga_id, reason="for the certificate"))
        return await self.ended(saga_id)

    # Errors

    async def fails(self, method: str, request: Message, code: grpc.StatusCode, *, field: str = "") -> None:
        """Makes a call that should fail with a code, an ErrorInfo and, for bad input, the field's name."""
        try:
            reply = getattr(self.stub, method)(request, timeout=PATIENCE)
            if method == "WatchSaga":
                async for _ in reply:
                    break
            else:
                await reply
        except grpc.aio.AioRpcError as error:
            if error.code() is not code:
                raise NonconformingError(
                    f"{method} should have failed with {code.name}; it failed with {_in_words(error)}"
                ) from error
            check_details(method, _status_of(error), field=field)
        else:
            raise NonconformingError(f"{method} should have failed with {code.name}; it went well")


def check_details(method: str, status: status_pb2.Status, *, field: str = "") -> None:
    """Checks that a status has an ErrorInfo and, where a field was wrong, a BadRequest that names it."""
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for kind in (info, bad):
            if detail.Is(kind.DESCRIPTOR):
                detail.Unpack(kind)
    if info.domain != DOMAIN or not info.reason:
        raise NonconformingError(
            f"{method} failed without an ErrorInfo of the domain {DOMAIN!r} and a reason"
        )
    named = [violation.field for violation in bad.field_violations]
    if field and not any(name == field or name.startswith((f"{field}.", f"{field}[")) for name in named):
        found = ", ".join(named) or "nothing"
        raise NonconformingError(f"the BadRequest of {method} should name {field}; it names {found}")


def expect(what: str, found: object, expected: object) -> None:
    """Checks one fact."""
    if found != expected:
        raise NonconformingError(f"{what} should have been {expected}; it was {found}")


@dataclass(frozen=True, kw_only=True)
class ClientRow(Line):
    """A row about a coordinator; its check raises NonconformingError."""

    check: Callable[[Client], Awaitable[None]]


def _status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    try:
        return rpc_status.from_call(error) or status_pb2.Status()  # type: ignore[arg-type] # it has what a call has
    except ValueError:
        return status_pb2.Status()  # its details are those of another status


def _in_words(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"
