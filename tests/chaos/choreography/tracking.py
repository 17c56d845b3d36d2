"""What the tracker shows, as it is asked by clients."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from amends import Client, SagaState
from tests.chaos.choreography.stage import Stage

UNFINISHED: Final = (SagaState.RUNNING, SagaState.COMPENSATING, SagaState.STALLED)

PATIENCE: Final = 30.0
"""Seconds for the tracker to have read what is on the bus: it may just have been killed."""

PAUSE: Final = 0.2
"""Seconds between two looks."""


async def until_stalled(stage: Stage, sagas: Collection[str]) -> list[str]:
    """Waits until exactly these sagas, in which something is dead, are shown as not finished: as stalled."""
    shown = await _until(stage, dict.fromkeys(sagas, SagaState.STALLED))
    silent = [saga for saga in sagas if shown.get(saga) is not SagaState.STALLED]
    return [
        *(f"P12: an event is dead, and the tracker shows {shown.get(saga)}, saga {saga}" for saga in silent),
        *_unfinished({saga: state for saga, state in shown.items() if saga not in sagas}),
    ]


async def until_ended(stage: Stage) -> list[str]:
    """Waits until no saga is shown that has not ended."""
    return _unfinished(await _until(stage, {}))


def _unfinished(shown: Mapping[str, SagaState]) -> list[str]:
    return [
        f"P2: all is at rest, and the tracker shows {state}, saga {saga}" for saga, state in shown.items()
    ]


async def ends(stage: Stage) -> dict[str, SagaState]:
    """The states of all sagas that ended."""
    return await _shown(stage, (SagaState.COMPLETED, SagaState.COMPENSATED))


async def _until(stage: Stage, wanted: Mapping[str, SagaState]) -> dict[str, SagaState]:
    """Asks for unfinished sagas until it is told what is wanted, or patience has ended; returns the last."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        shown = await _shown(stage, UNFINISHED)
        if shown == wanted or asyncio.get_running_loop().time() > deadline:
            return shown
        await asyncio.sleep(PAUSE)


async def _shown(stage: Stage, states: Collection[SagaState]) -> dict[str, SagaState]:
    async with Client(stage.api) as client:
        return {saga.id: saga.state async for saga in client.list(states=list(states))}
