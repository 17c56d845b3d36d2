"""Brings a stage to rest when nothing is harmed any more.

First it only looks, and only at the list, which is read from the store: acting on a single saga would wake
one that the coordinator had forgotten (P2). What is parked then waits for an operator, who comes last.
"""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Final

from amends import CallError, Client, Resolution, SagaState, SagaSummary, StepState
from amends_coordinator.core.limits import COMPENSATION_MAX_BACKOFF
from tests.chaos.plan import COORDINATOR
from tests.chaos.stage import Stage

PATIENCE: Final = COMPENSATION_MAX_BACKOFF + 30.0
"""Seconds for all to come to rest: a compensation that failed often may wait as long as a backoff can be, and
then has to be made, by a machine that may be busy. Most rounds take a few."""

PAUSE: Final = 0.1
"""Seconds between two looks at the list."""

ROUNDS: Final = 60
"""How often a saga is put right before it counts as one that does not end: every refusal is drawn anew."""

MOVING: Final = (SagaState.RUNNING, SagaState.COMPENSATING)


async def settle(stage: Stage) -> list[str]:
    """Waits until every saga has ended or is parked, by itself; then un-parks until all have ended.

    Returns what did not come to rest, in words.
    """
    async with stage.client() as client:
        try:
            faults = await _until_at_rest(client)
            faults += [
                f"P12: saga {saga.id} is parked, and its row does not say why"
                async for saga in client.list(states=[SagaState.PARKED])
                if not saga.needs_attention
            ]
            return faults or await _repair(client, Random(stage.plan.seed))
        except CallError as error:
            return [f"{COORDINATOR} fails a call although nothing is harmed any more: {error}"]


async def _until_at_rest(client: Client) -> list[str]:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while moving := [saga async for saga in client.list(states=MOVING)]:
        if asyncio.get_running_loop().time() > deadline:
            return [await _told(client, saga) for saga in moving]
        await asyncio.sleep(PAUSE)
    return []


async def _told(client: Client, saga: SagaSummary) -> str:
    """Says what a saga hangs on."""
    shown = await client.get(saga.id)
    steps = ", ".join(f"{run.step} {run.state.name} {run.last_failure or ''}" for run in shown.steps.values())
    return f"P2: saga {saga.id} is {saga.state.name} {PATIENCE:g} s after all faults have ended: {steps}"


async def _repair(client: Client, chance: Random) -> list[str]:
    """Retries what is parked, and resolves what retrying cannot help or, now and then, what it could."""
    for _ in range(ROUNDS):
        parked = [saga.id async for saga in client.list(states=[SagaState.PARKED])]
        if not parked:
            return []
        for saga_id in parked:
            async for step, resolution in _resolutions(client, saga_id, chance):
                result = {"step": step, "deed": ""} if resolution is Resolution.SUCCEEDED else None
                await client.resolve(saga_id, step, resolution, reason="put right by hand", result=result)
                break  # the saga goes on, and what else is stuck there shows when it is parked again
            else:
                await client.retry(saga_id, reason="it may be willing now")
        faults = await _until_at_rest(client)
        if faults:
            return faults
    return [f"P2: saga {saga_id} is parked again after {ROUNDS} repairs" for saga_id in parked]


async def _resolutions(client: Client, saga_id: str, chance: Random) -> AsyncIterator[tuple[str, Resolution]]:
    """The steps of a parked saga that are to be resolved, and how."""
    saga = await client.get(saga_id)
    for run in saga.steps.values():
        # The fence remembers a rejection, so a step that was rejected after the pivot would be so again.
        if saga.turn_back is None and run.state in (StepState.REJECTED, StepState.UNKNOWN):
            yield run.step, Resolution.SUCCEEDED
        elif run.state is StepState.REFUSED and chance.random() < 0.3:
            yield run.step, Resolution.COMPENSATED
