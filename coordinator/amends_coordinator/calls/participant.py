"""One participant: its channel, its queue, and which way it is called."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import status_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc as pb_grpc
from amends_coordinator.calls.attempt import WITHDRAWN, Attempt
from amends_coordinator.calls.exchange import Exchange
from amends_coordinator.calls.methods import Methods
from amends_coordinator.calls.reading import read_status
from amends_coordinator.calls.reflection import reflect
from amends_coordinator.calls.spans import Spans
from amends_coordinator.calls.unary import UnaryCalls
from amends_coordinator.core.outcomes import Outcome
from amends_coordinator.timers import Timers

DESCRIBE_TIMEOUT = 1.0
"""Seconds to wait for a description. Nothing depends on one, so nobody shall wait long."""

_CHANNEL_OPTIONS = [
    # gRPC backs off up to two minutes by default; sagas would wait that long for a participant that is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # In spite of its name, how long an attempt to connect may take: time for TLS across the world and for a
    # machine under load, and not the 20 s for which an address that answers nothing would be waited for.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # A participant that moved is found by its name again within a second.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # A peer that vanished without a word is noticed even while nothing is sent. Servers in general take a
    # ping every five minutes; more would be punished by closing the connection.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A participant may batch replies, each with a result of up to 1 MiB; the default of 4 MiB would break the
    # stream whenever a few large ones come together.
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.enable_retries", 0),  # retrying is the saga's business, and counted there
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a participant is, and how it is reached."""

    name: str
    address: str  # HOST:PORT
    credentials: grpc.ChannelCredentials | None = None  # None: plain text


class Participant:
    """Takes attempts for one participant, and tells of each what it came to.

    At most ``limit`` attempts are in flight; the others wait here, so a participant that hangs holds up
    only the sagas that need it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        timers: Timers,
        spans: Spans,
        *,
        limit: int,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes a caller; nothing is connected before the first attempt.

        Args:
            endpoint: where the participant is.
            timers: the clock of the time limits.
            spans: begins and ends the spans of attempts.
            limit: attempts in flight at most.
            opened: told whenever a new stream works: the participant may have been replaced by a new version.
        """
        self.endpoint = endpoint
        self._timers = timers
        self._spans = spans
        self._limit = limit
        self._queue: deque[Attempt] = deque()
        self._method_queue: deque[Attempt] = deque()  # what no stream carries
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._withdrawn = 0  # attempts in the queue that have ended already
        self._channel = _channel(endpoint, spans)
        stub: Any = pb_grpc.ParticipantStub(self._channel)
        self._stub: pb_grpc.ParticipantAsyncStub = stub
        self._unary = UnaryCalls(stub, Methods(self._channel), spans, self._attempt_ended)
        self._exchange: Exchange | None = Exchange(
            stub,
            timers,
            spans,
            address=endpoint.address,
            take=self._take,
            ended=self._attempt_ended,
            opened=opened,
            unimplemented=self._fall_back,
        )

    def __repr__(self) -> str:
        way = "unary" if self._exchange is None else "exchange"
        return (
            f"<Participant {self.endpoint.name} at {self.endpoint.address} by {way}: "
            f"{self._in_flight} in flight, {self.waiting} waiting>"
        )

    @property
    def in_flight(self) -> int:
        """Attempts that were sent and not answered."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Attempts that were not sent yet."""
        return len(self._queue) + len(self._method_queue) - self._withdrawn

    def submit(self, attempt: Attempt) -> None:
        """Sends an attempt as soon as there is room."""
        (self._method_queue if attempt.by_method else self._queue).append(attempt)
        self._pump()

    def withdraw(self, attempt: Attempt) -> None:
        """Ends an attempt that is still waiting; one that was sent is awaited as ever."""
        if not attempt.sent and not attempt.ended:
            self._withdrawn += 1
            attempt.withdraw()

    async def describe(self) -> pb.DescribeResponse:
        """Asks which actions the participant offers.

        Raises:
            grpc.RpcError: it did not say within a second.
        """
        return await self._stub.Describe(pb.DescribeRequest(), timeout=DESCRIBE_TIMEOUT)

    async def reflect(self, symbols: Iterable[str]) -> FileDescriptorSet:
        """Asks for the files that describe services and messages, by server reflection.

        Raises:
            NoReflectionError: it offers none.
            grpc.RpcError: it did not answer.
        """
        return await reflect(self._channel, symbols)

    def hold(self) -> None:
        """Sends nothing more."""
        self._limit = 0
        self._note_quiet()

    async def until_quiet(self) -> None:
        """Waits until nothing is in flight."""
        await self._quiet.wait()

    async def close(self) -> None:
        """Abandons everything in flight, without telling anybody, and closes the channel."""
        self.hold()  # sagas may still want something: a retry falls due while the rest is being closed
        self._queue.clear()
        self._method_queue.clear()
        self._withdrawn = 0
        await self._unary.close()
        if self._exchange is not None:
            await self._exchange.close()
        await self._channel.close()

    def _pump(self) -> None:
        self._send(self._method_queue)
        if self._exchange is None:
            self._send(self._queue)
        elif self._queue:
            self._exchange.wake()

    def _send(self, queue: deque[Attempt]) -> None:
        while (attempt := self._next(queue)) is not None:
            self._unary.send(attempt)

    def _take(self) -> Attempt | None:
        """Takes the next attempt that may be sent now on the stream."""
        return self._next(self._queue)

    def _next(self, queue: deque[Attempt]) -> Attempt | None:
        """Takes the next attempt that may be sent now from a queue, and starts its clock."""
        while queue and self._in_flight < self._limit:
            attempt = queue.popleft()
            if attempt.ended:
                self._withdrawn -= 1
                continue
            if attempt.needless:
                attempt.withdraw()
                continue
            attempt.sent = True
            attempt.started = self._timers.now()
            self._in_flight += 1
            self._quiet.clear()
            self._spans.begin(attempt)
            if self._exchange is not None and not attempt.by_method:  # a unary call has gRPC's own deadline
                attempt.timer = self._timers.at(
                    attempt.started + attempt.step.timeout, partial(self._expire, attempt)
                )
            return attempt
        return None

    def _attempt_ended(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.ended:
            return
        self._in_flight -= 1
        self._note_quiet()
        self._spans.end(attempt, outcome)
        attempt.finish(outcome)
        if self._queue or self._method_queue:
            self._pump()

    def _note_quiet(self) -> None:
        if self._in_flight == 0:
            self._quiet.set()

    def _expire(self, attempt: Attempt) -> None:
        """Ends an attempt of an exchange whose time is up."""
        if self._exchange is not None:
            self._exchange.forget(attempt)
        seconds = attempt.step.timeout
        message = f"{self.endpoint.name} gave no answer within {seconds:g} s"
        status = status_pb2.Status(code=Code.DEADLINE_EXCEEDED, message=message)
        rules = attempt.step.rules(attempt.direction)
        self._attempt_ended(attempt, read_status(attempt.direction, status, rules))

    def _fall_back(self, unsent: list[Attempt]) -> None:
        """Goes over to unary calls, for good: the participant offers no Exchange."""
        self._exchange = None
        for attempt in unsent:
            if attempt.timer is not None:
                attempt.timer.cancel()
            if attempt.needless:  # whoever has no Exchange has not read it
                self._attempt_ended(attempt, WITHDRAWN)
            else:
                self._unary.send(attempt)
        self._pump()


def _channel(endpoint: Endpoint, spans: Spans) -> grpc.aio.Channel:
    interceptors = spans.interceptors()
    if endpoint.credentials is not None:
        return grpc.aio.secure_channel(
            endpoint.address, endpoint.credentials, options=_CHANNEL_OPTIONS, interceptors=interceptors
        )
    return grpc.aio.insecure_channel(endpoint.address, options=_CHANNEL_OPTIONS, interceptors=interceptors)
