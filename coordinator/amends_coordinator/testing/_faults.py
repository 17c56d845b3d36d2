"""Faults on demand: what a network and a bad day do to calls, at the call that a test chooses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import grpc
from google.rpc import status_pb2
from google.rpc.code_pb2 import Code

from amends import Direction, Participant
from amends.errors import UsageError
from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.core import values
from amends_coordinator.core.outcomes import Outcome
from amends_coordinator.testing._called import Called
from amends_coordinator.testing._plain import PlainService


class Delivery(Protocol):
    """One call on its way to a participant."""

    async def arrive(self) -> Outcome:
        """Has the participant do its work, and returns what it answers."""
        ...

    def ended(self, status: status_pb2.Status) -> Outcome:
        """Returns what a status means to the step."""
        ...

    async def travel(self, seconds: float) -> None:
        """Keeps the call on its way."""

    async def crash_coordinator(self) -> None:
        """Has the coordinator crash and recover."""


Handling = Callable[[Delivery], Awaitable[Outcome]]


@dataclass(slots=True)
class _Fault:
    """What happens to the next calls of an action or a method."""

    participant: str
    action: str  # of a plain service: SERVICE/METHOD
    direction: values.Direction | None  # None: either
    name: str
    handling: Handling
    times: int  # left


class Faults:
    """Arranges what happens to calls between the coordinator and the participants.

    ::

        coordinator.faults.lose_reply("payments", "charge")
        coordinator.faults.fail("shipping", "ship", grpc.StatusCode.UNAVAILABLE, times=3)
        coordinator.faults.lose_reply("payments", "charge", direction=Direction.BACKWARD)
        coordinator.faults.lose_reply("carrier", "CancelBooking")

    Each fault befalls the next ``times`` calls (1 or more) of the action in one direction: FORWARD for its
    Try, which is the default, BACKWARD for its Compensate. Faults of the same action come one after another,
    in the order in which they were arranged; calls after the last one are delivered as usual.

    Of a plain service it is the next calls of a method, by its own name or as SERVICE/METHOD, whether it is
    called as a step's Try or Compensate; a ``direction`` is needed only if it is both.

    All methods raise ``UsageError`` for a participant, an action or a method that there is not.
    """

    def __init__(self, participants: Mapping[str, Called]) -> None:
        self._participants = participants
        self._faults: list[_Fault] = []

    def __repr__(self) -> str:
        left = ", ".join(
            f"{fault.name} {fault.participant}.{fault.action}{_way(fault.direction)} x{fault.times}"
            for fault in self._faults
        )
        return f"<Faults to come: {left or 'none'}>"

    def lose_call(
        self, participant: str, action: str, *, direction: Direction | None = None, times: int = 1
    ) -> None:
        """Has the participant never hear of the call; the coordinator learns that the connection broke."""

        async def handle(delivery: Delivery) -> Outcome:
            return delivery.ended(_status(Code.UNAVAILABLE, "the call was lost, as arranged"))

        self._add("lose_call", participant, action, direction, times, handle)

    def lose_reply(
        self, participant: str, action: str, *, direction: Direction | None = None, times: int = 1
    ) -> None:
        """Has the participant do its work; the coordinator learns only that the connection broke."""

        async def handle(delivery: Delivery) -> Outcome:
            await delivery.arrive()
            return delivery.ended(_status(Code.UNAVAILABLE, "the reply was lost, as arranged"))

        self._add("lose_reply", participant, action, direction, times, handle)

    def deliver_twice(
        self, participant: str, action: str, *, direction: Direction | None = None, times: int = 1
    ) -> None:
        """Has the call arrive twice at once; the coordinator hears the first reply."""

        async def handle(delivery: Delivery) -> Outcome:
            first, _ = await asyncio.gather(delivery.arrive(), delivery.arrive())
            return first

        self._add("deliver_twice", participant, action, direction, times, handle)

    def delay(
        self,
        participant: str,
        action: str,
        seconds: float,
        *,
        direction: Direction | None = None,
        times: int = 1,
    ) -> None:
        """Has the call arrive late, by the coordinator's clock; nobody waits for it really.

        With more seconds than the step's timeout the coordinator repeats the call, or compensates, before
        the late one arrives.
        """

        async def handle(delivery: Delivery) -> Outcome:
            await delivery.travel(seconds)
            return await delivery.arrive()

        self._add("delay", participant, action, direction, times, handle)

    def fail(
        self,
        participant: str,
        action: str,
        code: grpc.StatusCode,
        message: str = "failed, as arranged",
        *,
        direction: Direction | None = None,
        times: int = 1,
    ) -> None:
        """Has the call fail with a status instead of arriving.

        What that means is what it means for every participant: codes such as UNAVAILABLE, INTERNAL or
        DEADLINE_EXCEEDED leave the outcome unknown, and the call is repeated; others such as ABORTED,
        INVALID_ARGUMENT or PERMISSION_DENIED are a rejection or, backward, a refusal; unless the step says
        otherwise by a rule.
        """

        async def handle(delivery: Delivery) -> Outcome:
            return delivery.ended(_status(code.value[0], message))

        self._add(f"fail({code.name})", participant, action, direction, times, handle)

    def crash_coordinator(
        self, participant: str, action: str, *, direction: Direction | None = None, times: int = 1
    ) -> None:
        """Has the participant do its work, and the coordinator crash before it hears of it, and recover."""

        async def handle(delivery: Delivery) -> Outcome:
            outcome = await delivery.arrive()
            await delivery.crash_coordinator()
            return outcome  # to nobody

        self._add("crash_coordinator", participant, action, direction, times, handle)

    def take(self, participant: str, attempt: Attempt) -> Handling | None:
        """Takes what has been arranged for the next call, for the kit itself; None for nothing."""
        method = attempt.step.method(attempt.direction)
        action = attempt.step.action if method is None else method.method
        for fault in self._faults:
            fits = fault.direction in (None, attempt.direction)
            if fits and (fault.participant, fault.action) == (participant, action):
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
                return fault.handling
        return None

    def _add(
        self,
        name: str,
        participant: str,
        action: str,
        direction: Direction | None,
        times: int,
        handling: Handling,
    ) -> None:
        if participant not in self._participants:
            known = ", ".join(sorted(self._participants))
            raise UsageError(f"there is no participant {participant!r} to fail; there are: {known}")
        called = self._participants[participant]
        if isinstance(called, PlainService):
            action = _method(called, action)
        else:
            _check_action(called, action)
            direction = direction or Direction.FORWARD
        if times < 1:
            raise UsageError(f"times is {times}, and must be at least 1")
        way = None if direction is None else values.Direction[direction.name]
        self._faults.append(_Fault(participant, action, way, name, handling, times))


def _check_action(participant: Participant, action: str) -> None:
    actions = [each.name for each in participant.describe().actions]
    if action not in actions:
        raise UsageError(
            f"participant {participant.name!r} has no action {action!r}; it has: {', '.join(actions)}"
        )


def _method(service: PlainService, name: str) -> str:
    """The method that is meant by its name, as SERVICE/METHOD."""
    found = [method for method in service.methods if name in (method, method.rpartition("/")[2])]
    if len(found) == 1:
        return found[0]
    lacks = f"several methods {name!r}; name the service too" if found else f"no method {name!r}"
    raise UsageError(f"plain service {service.name!r} has {lacks}; it has: {', '.join(service.methods)}")


def _status(code: int, message: str) -> status_pb2.Status:
    return status_pb2.Status(code=code, message=message)


def _way(direction: values.Direction | None) -> str:
    return "" if direction is None else f" {direction.name}"
