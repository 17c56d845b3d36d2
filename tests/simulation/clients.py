"""Clients that start and watch sagas, and the operator who interferes. All use the SDK's client."""

import asyncio
from contextlib import aclosing

from amends import Client
from amends.errors import AlreadyExists, CallError, FailedPrecondition, NotFound
from tests.simulation.checker import Checker
from tests.simulation.plan import SagaPlan
from tests.simulation.story import Story

CONTENT = "content"
"""The label by which starts with the same id and other content differ."""

PATIENCE = 60.0
"""Seconds that a client outlasts an absence of the coordinator."""


class Clients:
    """What one process of clients does."""

    def __init__(self, address: str, checker: Checker, story: Story) -> None:
        """Makes clients of the coordinator at an address."""
        self._client = Client(address, patience=PATIENCE)
        self._checker = checker
        self._story = story

    async def start(self, plan: SagaPlan, content: str = "first") -> None:
        """Starts a saga, and compares what the answer promises with what is on disk (P1, P10)."""
        labels = {CONTENT: content}
        options = {"saga_id": plan.id, "step_inputs": plan.step_inputs, "labels": labels}
        try:
            if plan.by_stream:
                async with self._client.starter() as starter:
                    await starter.start(plan.definition, **options)
            else:
                await self._client.start(plan.definition, **options)
        except AlreadyExists:
            self._check_content(plan.id, content, same=False)
        except CallError as error:
            self._story.tell(f"client: the start failed: {error}", plan.id)
        else:
            self._check_content(plan.id, content, same=True)

    def _check_content(self, saga_id: str, content: str, *, same: bool) -> None:
        kept = self._checker.sagas.get(saga_id)
        self._story.tell(
            f"client: a start with {content} content " + ("is accepted" if same else "clashes"), saga_id
        )
        if kept is None:
            self._checker.object("P1: a start is answered, and nothing of it is on disk", saga_id)
        elif (kept.saga.labels[CONTENT] == content) is not same:
            found = kept.saga.labels[CONTENT]
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
                return
            except NotFound:
                return
            except CallError:
                await asyncio.sleep(1.0)

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
