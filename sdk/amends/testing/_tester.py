"""Calls a participant in-process, as often and in whatever order a network might deliver."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from amends._ids import new_saga_id
from amends._participant import Participant
from amends._payload import pack
from amends.testing._fenced import Script
from amends.testing._outcomes import CompensateOutcome, TryOutcome
from amends.v1 import participant_pb2


class ParticipantTester:
    """Calls a participant as a coordinator would, without a port.

    ::

        async with ParticipantTester(payments) as tester:
            tried = await tester.try_("charge", order)
            assert tried.result(Charge).amount == 12
            assert (await tester.compensate("charge", order)).compensated
            assert (await tester.try_("charge", order)).rejected  # too late

    Calls belong to one saga, ``saga_id``, and to the step named like the action, unless they say otherwise:
    so the same call again is a delivery again. The participant is opened on entering and stopped on leaving.
    """

    def __init__(self, participant: Participant) -> None:
        """Makes a tester; give the participant a store that the test owns."""
        self._participant = participant
        self._attempts: Counter[tuple[str, str, str]] = Counter()
        self.saga_id = new_saga_id()

    def __repr__(self) -> str:
        return f"ParticipantTester({self._participant.name!r}, saga_id={self.saga_id!r})"

    async def __aenter__(self) -> Self:
        await self._participant.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._participant.stop()

    def new_saga(self) -> str:
        """Has the calls from now on belong to another saga; returns its id."""
        self.saga_id = new_saga_id()
        return self.saga_id

    async def try_(
        self,
        action: str,
        input: object = None,  # noqa: A002 # what it is called in the contract
        *,
        saga_id: str | None = None,
        step: str | None = None,
        results: Mapping[str, object] | None = None,
    ) -> TryOutcome:
        """Delivers a Try.

        Args:
            action: names the action.
            input: the input of the step.
            saga_id: identifies the saga; None: the tester's own.
            step: names the step; None: like the action.
            results: results of the steps it needs, by step name.

        Raises ``Fault`` where the call would fail with a status, such as INTERNAL after an exception in a
        handler.
        """
        saga_id, step = saga_id or self.saga_id, step or action
        request = participant_pb2.TryRequest(
            saga_id=saga_id,
            step=step,
            attempt=self._next_attempt(saga_id, step, "try"),
            action=action,
            input=pack(input),
            results={name: pack(value) for name, value in (results or {}).items()},
            definition="test",
        )
        return TryOutcome(await self._participant.handle_try(request))

    async def compensate(
        self,
        action: str,
        input: object = None,  # noqa: A002 # what it is called in the contract
        *,
        saga_id: str | None = None,
        step: str | None = None,
        result: object = None,
    ) -> CompensateOutcome:
        """Delivers a Compensate.

        Takes the arguments of :meth:`try_`, and ``result``: what the coordinator knows of the result of the
        Try; a fence knows better.

        Raises ``Fault`` where the call would fail with a status.
        """
        saga_id, step = saga_id or self.saga_id, step or action
        request = participant_pb2.CompensateRequest(
            saga_id=saga_id,
            step=step,
            attempt=self._next_attempt(saga_id, step, "compensate"),
            action=action,
            input=pack(input),
            result=None if result is None else pack(result),
            definition="test",
        )
        return CompensateOutcome(await self._participant.handle_compensate(request))

    async def assert_fenced(
        self,
        action: str,
        input: object = None,  # noqa: A002 # what it is called in the contract
        *,
        results: Mapping[str, object] | None = None,
        observe: Callable[[], Any | Awaitable[Any]] | None = None,
    ) -> None:
        """Delivers the calls of a step twice, at once, late and in the wrong order, each time in a new saga.

        Args:
            action: names an action that can be compensated.
            input: an input with which it succeeds, each time in another saga.
            results: results of the steps it needs, by step name.
            observe: returns what the action changes, such as a balance; may be a coroutine function. It is
                compared before and after each delivery that must change nothing.

        Raises ``AssertionError`` that says which delivery did what it must not, and ``Fault`` where a call
        fails.
        """

        async def tried(saga_id: str) -> TryOutcome:
            return await self.try_(action, input, saga_id=saga_id, results=results)

        async def compensated(saga_id: str) -> CompensateOutcome:
            return await self.compensate(action, input, saga_id=saga_id)

        await Script(action, tried, compensated, observe).run()

    def _next_attempt(self, saga_id: str, step: str, direction: str) -> int:
        key = (saga_id, step, direction)
        self._attempts[key] += 1
        return self._attempts[key]
