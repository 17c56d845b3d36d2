"""The calls that are made for one row: in a saga of its own, repeated as a coordinator would."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from google.protobuf import any_pb2

from amends import new_saga_id
from amends.v1 import participant_pb2 as pb
from amends_coordinator.conformance.answers import Answer, Request
from amends_coordinator.conformance.results import NonconformingError
from amends_coordinator.conformance.subject import CommandFailedError, Subject
from amends_coordinator.conformance.ways import Way, name_of

ATTEMPTS_MAX: Final = 5
"""Calls of one request that end unknown before the kit gives up: a participant may be busy for a moment."""

PATIENCE: Final = 30.0
"""Seconds for one request to be decided, waits included: what is pending longer is no input for this kit."""

PAUSE: Final = 0.1
"""Seconds before a call is repeated, where the participant wants no longer wait."""


class Case:
    """One saga, for one row. What is still in force at the end is undone.

    Attributes:
        saga_id: identifies the saga.
        subject: what was given to the kit.
        way: how calls are made.
        passed_over: what the row wanted to look at and could not; empty where it saw everything.
    """

    def __init__(self, row: str, way: Way, ways: Mapping[str, Way], subject: Subject) -> None:
        self.saga_id = f"conformance-{new_saga_id()}"
        self.subject = subject
        self.way = way
        self.passed_over = ""
        self._row = row
        self._ways = ways
        self._attempts: dict[tuple[str, str], int] = {}
        self._tried: dict[str, any_pb2.Any] = {}
        self._siblings: list[Case] = []

    def sibling(self, *, way: str = "") -> "Case":
        """Makes another saga for the same row, called the same way unless another one is named."""
        made = Case(self._row, self._ways[way] if way else self.way, self._ways, self.subject)
        self._siblings.append(made)
        return made

    def by(self, way: str) -> "Case":
        """Makes a case for the same saga that calls another way."""
        made = self.sibling(way=way)
        made.saga_id = self.saga_id
        return made

    # Requests

    def a_try(self, payload: any_pb2.Any | None = None, *, step: str = "", action: str = "") -> pb.TryRequest:
        """A Try, with the input that succeeds unless another is given."""
        step = step or self._row
        payload = self.subject.inputs.succeeding if payload is None else payload
        self._tried.setdefault(step, payload)
        return pb.TryRequest(
            saga_id=self.saga_id,
            step=step,
            attempt=self._next_attempt("Try", step),
            action=action or self.subject.action,
            input=payload if payload.type_url else None,
            results=self.subject.results,
            definition="conformance",
        )

    def a_compensate(
        self, *, result: any_pb2.Any | None = None, step: str = "", action: str = ""
    ) -> pb.CompensateRequest:
        """A Compensate, with the input that its step was tried with, if it was."""
        step = step or self._row
        payload = self._tried.get(step, self.subject.inputs.succeeding)
        return pb.CompensateRequest(
            saga_id=self.saga_id,
            step=step,
            attempt=self._next_attempt("Compensate", step),
            action=action or self.subject.action,
            input=payload if payload.type_url else None,
            result=result,
            definition="conformance",
        )

    def _next_attempt(self, call: str, step: str) -> int:
        number = self._attempts[call, step] = self._attempts.get((call, step), 0) + 1
        return number

    # Calls

    async def tried(self, payload: any_pb2.Any | None = None, *, step: str = "") -> Answer:
        """Makes a Try and returns its answer, once it is decided."""
        return (await self.decided([self.a_try(payload, step=step)]))[0]

    async def compensated(self, *, result: any_pb2.Any | None = None, step: str = "") -> Answer:
        """Makes a Compensate and returns its answer, once it is decided."""
        return (await self.decided([self.a_compensate(result=result, step=step)]))[0]

    async def once(self, request: Request) -> Answer:
        """Makes one call and returns its answer, whatever it is."""
        return (await self.way.send([request]))[0]

    async def decided(self, requests: Sequence[Request]) -> list[Answer]:
        """Makes calls at once, repeats those that are pending or unknown, and returns the last answers."""
        answers = await self.way.send(requests)
        failures = [int(answer.is_unknown) for answer in answers]
        now = asyncio.get_running_loop().time
        end = now() + PATIENCE
        while True:
            undecided = [
                place
                for place, answer in enumerate(answers)
                if answer.outcome == "pending" or (answer.is_unknown and failures[place] < ATTEMPTS_MAX)
            ]
            wait = max([PAUSE, *(answers[place].retry_after for place in undecided)])
            if not undecided or now() + wait > end:
                return answers
            await asyncio.sleep(wait)
            # One after another: all at once they might get into each other's way for ever.
            for place in undecided:
                answers[place] = await self._repeated(requests[place])
                failures[place] += answers[place].is_unknown

    async def _repeated(self, request: Request) -> Answer:
        request.attempt = self._next_attempt(name_of(request), request.step)
        return await self.once(request)

    # Effects

    async def effects(self, expected: int) -> None:
        """Checks how many effects of the saga are in force, where they can be counted.

        Raises:
            NonconformingError: it is another number.
        """
        if self.subject.count_effects is None:
            self.passed_over = "by answers alone: needs --effects"
            return
        try:
            found = await self.subject.count_effects(self.saga_id)
        except CommandFailedError as error:
            raise NonconformingError(f"the effects could not be counted: {error}") from error
        if found != expected:
            raise NonconformingError(f"{found} effects were in force; there should have been {expected}")

    async def leave(self) -> None:
        """Undoes what the row left in force; how that ends is of no interest here, other rows look at it."""
        for step in self._tried:
            with suppress(NonconformingError):
                await self.once(self.a_compensate(step=step))
        for case in self._siblings:
            await case.leave()
