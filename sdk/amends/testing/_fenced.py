"""The deliveries that a fence must withstand, as a script."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc

from amends._ids import new_saga_id
from amends.errors import Fault
from amends.testing._outcomes import CompensateOutcome, TryOutcome

R = TypeVar("R")

TOO_LATE = "ALREADY_COMPENSATED"
"""The reason with which the contract has a Try rejected that comes after its Compensate."""


class Script:
    """Plays the deliveries against one action; each scene has a saga of its own."""

    def __init__(
        self,
        action: str,
        tried: Callable[[str], Awaitable[TryOutcome]],
        compensated: Callable[[str], Awaitable[CompensateOutcome]],
        observe: Callable[[], Any | Awaitable[Any]] | None,
    ) -> None:
        self._action = action
        self._tried = tried  # delivers a Try in a saga
        self._compensated = compensated  # delivers a Compensate in a saga
        self._observe = observe

    async def run(self) -> None:
        """Plays all scenes. Raises ``AssertionError``."""
        await self._twice()
        await self._at_once()
        await self._late()
        await self._wrong_order()

    async def _twice(self) -> None:
        saga_id = new_saga_id()
        first = await self._tried(saga_id)
        assert first.succeeded, f"{self._action}: needs an input with which it succeeds, but: {first!r}"
        async with self._unchanged("a second Try"):
            second = await self._tried(saga_id)
        assert second == first, f"{self._action}: a second Try answered other than the first: {second!r}"
        await self._undo(saga_id)
        async with self._unchanged("a second Compensate"):
            await self._undo(saga_id)

    async def _at_once(self) -> None:
        saga_id = new_saga_id()
        answers = await self._gather(*(self._tried(saga_id) for _ in range(4)))
        async with self._unchanged("a Try after four at once"):
            settled = await self._tried(saga_id)
        assert all(answer == settled for answer in answers), (
            f"{self._action}: Tries delivered at once were answered differently: {[*answers, settled]!r}"
        )
        await self._gather(*(self._compensated(saga_id) for _ in range(4)))
        async with self._unchanged("a Compensate after four at once"):
            await self._undo(saga_id)

    async def _gather(self, *calls: Awaitable[R]) -> list[R]:
        """Delivers calls at once. One told to come again, since another is under way, has no answer."""
        answers = []
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            if not isinstance(answer, BaseException):
                answers.append(answer)
            elif not isinstance(answer, Fault) or answer.code is not grpc.StatusCode.UNAVAILABLE:
                raise answer
        return answers

    async def _late(self) -> None:
        saga_id = new_saga_id()
        await self._tried(saga_id)
        await self._undo(saga_id)
        async with self._unchanged("a Try after its Compensate"):
            await self._refuse(saga_id, "after its Compensate")

    async def _wrong_order(self) -> None:
        saga_id = new_saga_id()
        async with self._unchanged("a Compensate before its Try"):
            await self._undo(saga_id)
        async with self._unchanged("a Try that its Compensate overtook"):
            await self._refuse(saga_id, "that its Compensate overtook")

    async def _undo(self, saga_id: str) -> None:
        outcome = await self._compensated(saga_id)
        assert outcome.compensated, f"{self._action}: was not compensated: {outcome!r}"

    async def _refuse(self, saga_id: str, when: str) -> None:
        outcome = await self._tried(saga_id)
        reason = outcome.rejected.reason if outcome.rejected else None
        assert reason == TOO_LATE, f"{self._action}: a Try {when} was not rejected as {TOO_LATE}: {outcome!r}"

    @asynccontextmanager
    async def _unchanged(self, delivery: str) -> AsyncIterator[None]:
        before = await self._look()
        yield
        self._compare(delivery, before, await self._look())

    def _compare(self, delivery: str, before: Any, after: Any) -> None:
        assert before == after, (
            f"{self._action}: {delivery} had an effect: observed {before!r} before, {after!r} after"
        )

    async def _look(self) -> Any:
        if self._observe is None:
            return None
        observed = self._observe()
        return await observed if inspect.isawaitable(observed) else observed
