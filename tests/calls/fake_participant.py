"""A participant that does what a test tells it, on a real server, and a coordinator's side to call it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.rpc import status_pb2

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.calls.participant import Endpoint, Participant
from amends_coordinator.calls.spans import Spans
from amends_coordinator.core import machine
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.outcomes import Outcome
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction, Payload
from amends_coordinator.timers import Timers

Request = pb.TryRequest | pb.CompensateRequest
Answer = Callable[[Request], Awaitable[Any]]


class CallFailedError(Exception):
    """Ends one call with a status."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status)
        self.status = status


def failed(code: int, message: str = "words") -> CallFailedError:
    return CallFailedError(status_pb2.Status(code=code, message=message))


async def accept(request: Request) -> Any:
    """Answers as a participant to which everything is right."""
    if isinstance(request, pb.TryRequest):
        return pb.TryResponse(succeeded=pb.TryResponse.Succeeded())
    return pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated())


class FakeParticipant:
    """A server whose answers are the test's; ``seen`` lists the calls in the order of their arrival."""

    def __init__(
        self,
        *,
        exchange: bool,
        credentials: grpc.ServerCredentials | None = None,
        door: grpc.aio.ServerInterceptor | None = None,
    ) -> None:
        self.exchange = exchange
        self._credentials = credentials
        self._interceptors = () if door is None else (door,)
        self.answer: Answer = accept
        self.seen: asyncio.Queue[Request] = asyncio.Queue()
        self.calls: list[pb.ExchangeRequest.Call] = []
        self.batches: list[int] = []  # calls per message
        self.streams = 0
        self.garbage = b""  # sent on a stream in place of replies
        self.extra: list[pb.ExchangeResponse.Reply] = []  # sent along with every reply
        self.broken = asyncio.Event()  # fails the streams that are open
        self.break_code: grpc.StatusCode | None = grpc.StatusCode.UNAVAILABLE  # None ends them without error
        self.reads = True
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens, on the same port as before if there was one."""
        server = self._server = grpc.aio.server(interceptors=self._interceptors)
        server.add_generic_rpc_handlers((self._handlers(),))
        if self._credentials is None:
            self.port = server.add_insecure_port(self.address)
        else:
            self.port = server.add_secure_port(self.address, self._credentials)
        await server.start()

    async def stop(self) -> None:
        """Goes away, with everything in flight."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def _handlers(self) -> grpc.GenericRpcHandler:
        methods: dict[str, Any] = {
            "Try": grpc.unary_unary_rpc_method_handler(self._unary, pb.TryRequest.FromString),
            "Compensate": grpc.unary_unary_rpc_method_handler(self._unary, pb.CompensateRequest.FromString),
            "Describe": grpc.unary_unary_rpc_method_handler(self._describe, pb.DescribeRequest.FromString),
            "Exchange": grpc.stream_stream_rpc_method_handler(self._exchange, pb.ExchangeRequest.FromString),
        }
        return grpc.method_handlers_generic_handler("amends.v1.Participant", methods)

    async def _describe(self, _request: Any, _context: Any) -> bytes:
        return pb.DescribeResponse(participant="fake").SerializeToString()

    async def _unary(self, request: Request, context: Any) -> bytes:
        self.seen.put_nowait(request)
        try:
            answer = await self.answer(request)
        except CallFailedError as error:
            code = next(each for each in grpc.StatusCode if each.value[0] == error.status.code)
            await context.abort(code, error.status.message)
        return answer if isinstance(answer, bytes) else answer.SerializeToString()

    async def _exchange(
        self, requests: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[bytes]:
        self.streams += 1
        if not self.exchange:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no Exchange here")
        replies: asyncio.Queue[pb.ExchangeResponse.Reply | None] = asyncio.Queue()
        tasks: list[asyncio.Task[None]] = []
        tasks.append(asyncio.create_task(self._read(requests, replies, tasks)))
        tasks.append(asyncio.create_task(self._break(replies)))
        try:
            while (reply := await replies.get()) is not None:
                message = pb.ExchangeResponse(replies=[reply, *self.extra])
                while not replies.empty() and (more := replies.get_nowait()) is not None:
                    message.replies.append(more)
                yield self.garbage or message.SerializeToString()
        finally:
            for task in tasks:
                task.cancel()
        if self.break_code is not None:
            await context.abort(self.break_code, "the stream was broken by the test")

    async def _break(self, replies: "asyncio.Queue[Any]") -> None:
        await self.broken.wait()
        replies.put_nowait(None)

    async def _read(
        self,
        requests: AsyncIterator[pb.ExchangeRequest],
        replies: "asyncio.Queue[Any]",
        tasks: list[asyncio.Task[None]],
    ) -> None:
        if not self.reads:
            await asyncio.Event().wait()
        async for request in requests:
            self.batches.append(len(request.calls))
            for call in request.calls:
                self.calls.append(call)
                tasks.append(asyncio.create_task(self._reply(call, replies)))

    async def _reply(self, call: pb.ExchangeRequest.Call, replies: "asyncio.Queue[Any]") -> None:
        request: Request = getattr(call, call.WhichOneof("request") or "")
        self.seen.put_nowait(request)
        reply = pb.ExchangeResponse.Reply(number=call.number)
        try:
            answer = await self.answer(request)
        except CallFailedError as error:
            reply.error.CopyFrom(error.status)
        else:
            if isinstance(answer, pb.TryResponse):
                reply.try_response.CopyFrom(answer)
            else:
                reply.compensate_response.CopyFrom(answer)
        replies.put_nowait(reply)


class Rig:
    """The coordinator's side: a participant to be called, and what its attempts came to."""

    def __init__(
        self, address: str, *, limit: int = 100, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self.timers = Timers(asyncio.get_running_loop())
        self.opened = 0
        self.ends: list[tuple[str, Outcome]] = []
        endpoint = Endpoint(name="payments", address=address, credentials=credentials)
        self.participant = Participant(endpoint, self.timers, Spans(), limit=limit, opened=self._opened)

    def _opened(self) -> None:
        self.opened += 1

    def submit(
        self,
        saga_id: str = "saga",
        *,
        direction: Direction = Direction.FORWARD,
        timeout: float = 10.0,
        input: bytes | None = None,  # noqa: A002 - the contract's word
    ) -> tuple[Attempt, "asyncio.Future[Outcome]"]:
        """Sends an attempt of a saga of one step; the future tells what it came to."""
        return self.submit_step(one_step(saga_id, timeout, input), 0, direction)

    def submit_step(
        self, saga: Saga, place: int, direction: Direction
    ) -> tuple[Attempt, "asyncio.Future[Outcome]"]:
        """Sends an attempt of this step."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def end(attempt: Attempt, outcome: Outcome) -> None:
            self.ends.append((attempt.saga.id, outcome))
            future.set_result(outcome)

        attempt = Attempt(saga, place, direction, 1, end)
        self.participant.submit(attempt)
        return attempt, future

    async def call(self, saga_id: str = "saga", **options: Any) -> Outcome:
        """Sends an attempt and waits for its end."""
        _, future = self.submit(saga_id, **options)
        return await asyncio.wait_for(future, 5)

    async def close(self) -> None:
        self.timers.close()
        await self.participant.close()


Serve = Callable[..., Awaitable[FakeParticipant]]
Connect = Callable[..., Rig]


def one_step(saga_id: str, timeout: float = 10.0, input: bytes | None = None) -> Saga:  # noqa: A002
    """A saga that has just begun."""
    step = Step(name="charge", participant="payments", action="charge-card", timeout=timeout)
    payload = None if input is None else Payload("t/a.B", input)
    definition = Definition(name="order", steps=(step,))
    fact = SagaStarted(definition=definition, input=payload, step_inputs={}, labels={})
    saga, _ = machine.start(saga_id, fact, 0.0)
    return saga
