"""What lies between a coordinator and the participants of the same process: calls, and what befalls them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import status_pb2
from google.rpc.code_pb2 import Code

from amends._transactions.faults import to_status
from amends.errors import Fault, UsageError
from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.attempt import MAX_REQUEST, Attempt
from amends_coordinator.calls.reading import read_status, status_of, too_large
from amends_coordinator.core.outcomes import Outcome, Unknown
from amends_coordinator.testing._called import (
    Called,
    call_action,
    call_method,
    describe,
    reflect,
    request_of,
)
from amends_coordinator.testing._faults import Faults
from amends_coordinator.testing._time import JumpingTime, JumpingTimers

Answer: TypeAlias = Callable[[], Awaitable[Outcome]]
"""Has a participant do its work, and says what that came to; see ``call_action`` and ``call_method``."""


class Network:
    """Delivers calls. It survives the coordinator: what has left arrives, though nobody may hear of it."""

    def __init__(
        self,
        participants: Mapping[str, Called],
        faults: Faults,
        time: JumpingTime,
        crash: Callable[[], Awaitable[None]],
    ) -> None:
        """Connects participants, by their names; ``crash`` has the coordinator crash and recover."""
        self.participants = participants
        self.time = time
        self.timers = time.new_timers()
        self.crash = crash
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self._travelling: set[asyncio.Task[Any]] = set()

    def send(self, name: str, attempt: Attempt, answer: Answer, heard: Callable[[Outcome], None]) -> None:
        """Sends a call.

        Args:
            name: of the participant.
            attempt: what the call is for.
            answer: has the participant answer it.
            heard: is told what its sender hears of it.
        """
        self.time.call_begins()
        task = asyncio.get_running_loop().create_task(self._deliver(name, attempt, answer, heard))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self, name: str, attempt: Attempt, answer: Answer, heard: Callable[[Outcome], None]
    ) -> None:
        delivery = _Delivery(self, attempt, answer)
        handling = self._faults.take(name, attempt)
        try:
            heard(await (delivery.arrive() if handling is None else handling(delivery)))
        except asyncio.CancelledError:
            heard(Unknown(Code.CANCELLED, "the call was lost when the test ended"))
            raise
        finally:
            self.time.call_ends()

    @contextmanager
    def travelling(self) -> Iterator[None]:
        """Notes that the delivery of this task is under way, and nobody is at work for it."""
        task = asyncio.current_task()
        assert task is not None, "deliveries are tasks"
        self._travelling.add(task)
        self.time.call_ends()  # so the clock may jump to its arrival
        try:
            yield
        finally:
            self._travelling.discard(task)
            self.time.call_begins()

    def lose_travelling(self) -> None:
        """Loses the calls that have not arrived."""
        for task in self._travelling:
            task.cancel()

    async def close(self) -> None:
        """Loses the calls that have not arrived, and waits for those that have."""
        self.lose_travelling()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.time.drop(self.timers)


@dataclass(slots=True)
class _Delivery:
    """One call on its way; see _faults.Delivery."""

    network: Network
    attempt: Attempt
    answer: Answer

    async def arrive(self) -> Outcome:
        try:
            return await self.answer()
        except Fault as fault:
            return self.ended(to_status(fault))
        except grpc.aio.AioRpcError as error:
            return self.ended(status_of(error))
        except UsageError as error:  # a test has stopped the participant: nobody listens
            return self.ended(status_pb2.Status(code=Code.UNAVAILABLE, message=str(error)))

    def ended(self, status: status_pb2.Status) -> Outcome:
        return _read(self.attempt, status)

    async def travel(self, seconds: float) -> None:
        arrival = asyncio.Event()
        timers = self.network.timers
        timers.at(timers.now() + seconds, arrival.set)
        with self.network.travelling():
            await arrival.wait()

    async def crash_coordinator(self) -> None:
        await self.network.crash()


class LocalCaller:
    """Calls one participant for one life of the coordinator; see calls.caller.Caller.

    There is no limit on calls in flight, and so none that waits: a test has few sagas.
    """

    waiting = 0

    def __init__(self, network: Network, name: str, timers: JumpingTimers) -> None:
        """Makes a caller whose time limits run by ``timers``."""
        self._network = network
        self._name = name
        self._timers = timers
        self._sent: set[Attempt] = set()
        self._held = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def in_flight(self) -> int:
        """See Caller.in_flight."""
        return len(self._sent)

    def submit(self, attempt: Attempt) -> None:
        """See Caller.submit."""
        if self._held:
            return  # and the next life of the coordinator would find it in the log
        attempt.sent = True
        attempt.started = self._timers.now()
        called = self._network.participants[self._name]
        answer: Answer = partial(call_method, called, attempt)
        if not attempt.by_method:
            request = request_of(attempt)
            if request.ByteSize() > MAX_REQUEST:
                attempt.finish(too_large(attempt.direction, request.ByteSize()))
                return
            answer = partial(call_action, called, request, attempt.step.timeout)
        self._sent.add(attempt)
        self._quiet.clear()
        attempt.timer = self._timers.at(
            attempt.started + attempt.step.timeout, partial(self._expire, attempt)
        )
        self._network.send(self._name, attempt, answer, partial(self._end, attempt))

    def withdraw(self, attempt: Attempt) -> None:
        """See Caller.withdraw. Every attempt has been sent, and is awaited."""

    async def describe(self) -> pb.DescribeResponse:
        """See Caller.describe."""
        return describe(self._network.participants[self._name])

    async def reflect(self, symbols: Iterable[str]) -> FileDescriptorSet:
        """See Caller.reflect. Nobody is asked: the generated code of this process describes itself."""
        return reflect(self._network.participants[self._name], symbols)

    def hold(self) -> None:
        """See Caller.hold."""
        self._held = True

    async def until_quiet(self) -> None:
        """See Caller.until_quiet."""
        await self._quiet.wait()

    def fall_silent(self) -> None:
        """Tells of nothing any more: whoever made the attempts is gone."""
        for attempt in self._sent:
            attempt.ended = True
        self._sent.clear()
        self._quiet.set()

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        self._sent.discard(attempt)
        if not self._sent:
            self._quiet.set()
        attempt.finish(outcome)

    def _expire(self, attempt: Attempt) -> None:
        message = f"{self._name} gave no answer within {attempt.step.timeout:g} s"
        self._end(attempt, _read(attempt, status_pb2.Status(code=Code.DEADLINE_EXCEEDED, message=message)))


def _read(attempt: Attempt, status: status_pb2.Status) -> Outcome:
    return read_status(attempt.direction, status, attempt.step.rules(attempt.direction))
