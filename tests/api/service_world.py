"""The coordinator's service on a real port, with participants that do as they are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, wrappers_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import coordinator_pb2_grpc, participant_pb2, saga_pb2
from amends_coordinator.api.limits import MAX_MESSAGE
from amends_coordinator.api.service import CoordinatorService
from amends_coordinator.api.starting import Starter
from amends_coordinator.calls.spans import Spans
from amends_coordinator.runtime.admission import Admission
from amends_coordinator.runtime.registry import Registry
from amends_coordinator.store.interface import Store
from tests.runtime.runtime_world import FakeParticipant, World

PATIENCE = 10.0
"""Seconds after which a call of a test has hung."""


class Service(World):
    """A world that is reached by gRPC."""

    def __init__(self, store: Store | None = None, **options: Any) -> None:
        super().__init__(store, **options)
        for participant in (self.shop, self.bank):
            participant.checks = self.durable is self.store
            participant.description = offers("reserve", "charge", "ship", "pay")

    async def open(self) -> None:
        await super().open()
        self.admission = Admission(self.runtime.participants, self.timers)
        self.registry = Registry(self.durable, self.admission, self.timers)
        self.starter = Starter(self.runtime, self.admission, self.registry, Spans())
        self.server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE)])
        coordinator_pb2_grpc.add_CoordinatorServicer_to_server(
            CoordinatorService(self.runtime, self.registry, self.starter), self.server
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.stub: Any = coordinator_pb2_grpc.CoordinatorStub(self.channel)

    async def crash(self) -> None:
        await self.channel.close()
        await self.server.stop(None)
        await self.starter.close()
        await super().crash()

    # Shorthands

    async def call(self, method: str, request: Any, **options: Any) -> Any:
        """Calls an RPC that must not hang."""
        return await getattr(self.stub, method)(request, **{"timeout": PATIENCE, **options})

    async def begin(self, saga_id: str, **fields: Any) -> saga_pb2.Saga:
        """Starts a saga of three steps, or as the fields say."""
        return await self.call("StartSaga", start_request(saga_id, **fields))

    async def eventually(self, saga_id: str, state: str) -> saga_pb2.Saga:
        """Watches a saga until it has ended, and tells how."""
        async for _ in self.stub.WatchSaga(pb.WatchSagaRequest(saga_id=saga_id), timeout=PATIENCE):
            pass
        saga: saga_pb2.Saga = await self.call("GetSaga", pb.GetSagaRequest(saga_id=saga_id))
        assert saga_pb2.Saga.State.Name(saga.state) == state
        return saga

    async def held(self, participant: FakeParticipant | None = None) -> None:
        """Waits until a call is held."""
        await (participant or self.shop).arrived.wait()


@asynccontextmanager
async def service(store: Store | None = None, **options: Any) -> AsyncIterator[Service]:
    """A service that runs, and leaves nothing behind."""
    made = Service(store, **options)
    await made.open()
    try:
        yield made
    finally:
        await made.crash()


class Failure:
    """An RPC's error, taken apart."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.status = status
        self.code: str = next(each.name for each in grpc.StatusCode if each.value[0] == status.code)
        self.message = status.message
        self.info = self._detail(error_details_pb2.ErrorInfo())
        self.bad_request = self._detail(error_details_pb2.BadRequest())
        self.retry_info = self._detail(error_details_pb2.RetryInfo())

    def _detail(self, into: Any) -> Any:
        return into if any(detail.Unpack(into) for detail in self.status.details) else None

    @property
    def reason(self) -> str:
        """The stable reason; every error of ours has one, in our domain."""
        assert self.info is not None
        assert self.info.domain == "amends"
        return str(self.info.reason)

    @property
    def fields(self) -> list[str]:
        """The fields that are at fault."""
        assert self.bad_request is not None
        return [each.field for each in self.bad_request.field_violations]


async def failure(call: Awaitable[Any]) -> Failure:
    """Awaits a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    assert status is not None, f"without details: {caught.value!r}"
    return Failure(status)


def offers(*actions: str, compensatable: bool = True) -> participant_pb2.DescribeResponse:
    return participant_pb2.DescribeResponse(
        actions=[
            participant_pb2.ActionDescription(name=action, compensatable=compensatable) for action in actions
        ]
    )


def definition(
    *names: str, name: str = "order", participant: str = "shop", **fields: Any
) -> saga_pb2.Definition:
    return saga_pb2.Definition(
        name=name,
        steps=[
            saga_pb2.Step(name=step, participant=participant, action=step)
            for step in names or ("reserve", "charge", "ship")
        ],
        **fields,
    )


def start_request(saga_id: str, **fields: Any) -> pb.StartSagaRequest:
    if "definition_name" not in fields:
        fields.setdefault("definition", definition())
    return pb.StartSagaRequest(saga_id=saga_id, **fields)


def text(value: str) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(wrappers_pb2.StringValue(value=value))
    return packed


async def until(condition: Any) -> None:
    """Waits, a turn of the loop at a time, until a condition holds that needs no more than that."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody says when; it needs a turn or two
            await asyncio.sleep(0.001)
