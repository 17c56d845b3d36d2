"""Clients that start and watch sagas, and the operator who interferes. All use the SDK's client."""

import asyncio
from contextlib import aclosing
from typing import Any

from amends import Client, Definition
from amends.errors import (
    AlreadyExists,
    CallError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    NotSettled,
)
from amends_coordinator.core.saga import Saga
from tests.simulation.checker import Checker
from tests.simulation.plan import FIRST, SagaPlan
from tests.simulation.story import Story

ODD = "odd"
"""What is in a label or an input by which a start differs."""

ODD_TIMEOUT = 777.0
"""Seconds of the timeout by which a definition differs."""

PATIENCE = 60.0
"""Seconds that a client outlasts an absence of the coordinator."""


class Clients:
    """What one process of clients does."""

    def __init__(self, address: str, checker: Checker, story: Story) -> None:
        """Makes clients of the coordinator at an address."""
        self._client = Client(address, patience=PATIENCE)
        self._checker = checker
        self._story = story

    async def start(self, plan: SagaPlan, content: str = FIRST) -> None:
        """Starts a saga, and compares what the answer promises with what is on disk (P1, P10)."""
        definition = plan.definition
        if content == "definition":
            definition = Definition(
                definition.name,
                definition.steps,
                timeout=ODD_TIMEOUT,
                input_type=definition.input_type,
                descriptors=definition.descriptors,
            )
        labels = {ODD: "yes"} if content == "labels" else {}
        options = {"saga_id": plan.id, "labels": labels, **plan.inputs(ODD if content == "inputs" else "")}
        before = self._checker.sagas.get(plan.id)
        try:
            if plan.way == "stream":
                async with self._client.starter() as starter:
                    await starter.start(definition, **options)
            elif plan.way == "run":
                await self._run(definition, options)
            else:
                await self._client.start(definition, **options)
        except AlreadyExists:
            self._check_content(plan.id, content, same=False)
        except InvalidArgument as error:
            self._story.tell(f"client: the start is refused: {error}", plan.id)
            if before is not None and _content_of(before.saga) == content:
                self._checker.object("P10: a start is refused, and its saga is there", plan.id)
        except NotSettled:
            self._story.tell("client: the end was not there in time", plan.id)
        except CallError as error:
            self._story.tell(f"client: the start failed: {error}", plan.id)
        else:
            self._check_content(plan.id, content, same=True)

    async def _run(self, definition: Definition, options: dict[str, Any]) -> None:
        saga = await self._client.run(definition, timeout=PATIENCE, **options)
        kept = self._checker.sagas[saga.id].saga
        if saga.state.ended and saga.state.name != kept.state.name:
            self._checker.object(f"P1: a client is told {saga.state}, and on disk it is {kept.state.name}")

    def _check_content(self, saga_id: str, content: str, *, same: bool) -> None:
        kept = self._checker.sagas.get(saga_id)
        word = "is accepted" if same else "clashes"
        self._story.tell(f"client: a start with {content} content {word}", saga_id)
        if kept is None:
            self._checker.object("P1: a start is answered, and nothing of it is on disk", saga_id)
            return
        found = _content_of(kept.saga)
        if (found == content) is not same:
            self._checker.object(
                f"P10: a start with {content} content is taken for one with {found}", saga_id
            )

    async def watch(self, saga_id: str) -> None:
        """Follows a saga to its end; every event has to come once, in order, as it is on disk."""
        expected = 1
        while True:
            try:
                async with aclosing(self._client.watch(saga_id, after=expected - 1)) as events:
                    async for event in events:
                        if event.sequence != expected:
                            self._checker.object(
                                f"P1: a watcher is told event {event.sequence} instead of {expected}", saga_id
                            )
                        expected += 1
                self._check_end(saga_id, expected - 1)
                return
            except NotFound:
                return
            except CallError:
                await asyncio.sleep(1.0)

    def _check_end(self, saga_id: str, told: int) -> None:
        kept = self._checker.sagas[saga_id]
        if told != len(kept.events) or not kept.saga.state.ended:
            self._checker.object(f"P1: a watch ends with event {told} of {len(kept.events)}", saga_id)

    async def wish(self, wish: str, saga_id: str, step: str, resolution: str) -> bool:
        """Has an operator cancel, retry or resolve; tells whether it was granted."""
        try:
            if wish == "cancel":
                await self._client.cancel(saga_id, reason="changed my mind")
            elif wish == "retry":
                await self._client.retry(saga_id, reason="it is mended")
            else:
                await self._client.resolve(saga_id, step, resolution, reason="I looked")
        except (NotFound, FailedPrecondition) as error:
            self._story.tell(f"operator: {wish} is refused: {error}", saga_id)
            return False
        except CallError as error:
            self._story.tell(f"operator: {wish} fails: {error}", saga_id)
            return False
        self._story.tell(f"operator: {wish} is granted", saga_id)
        return True

    async def needing_attention(self) -> set[str]:
        """The ids of the sagas that an operator is asked to look at."""
        return {summary.id async for summary in self._client.list(needs_attention=True)}


def _content_of(saga: Saga) -> str:
    """With which content a saga was started."""
    if ODD in saga.labels:
        return "labels"
    payloads = [*saga.step_inputs.values(), *([] if saga.input is None else [saga.input])]
    if any(ODD.encode() in payload.value for payload in payloads):
        return "inputs"
    return "definition" if saga.definition.timeout == ODD_TIMEOUT else FIRST
