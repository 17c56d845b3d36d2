"""What a participant still has to know after it was killed: each check stops at its yield for the restart."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from amends_coordinator.conformance import expect
from amends_coordinator.conformance.answers import Answer
from amends_coordinator.conformance.case import Case
from amends_coordinator.conformance.row import RestartRow

Steps = AsyncGenerator[None, None]

_UNDER_WAY_MAX: Final = 200
"""Steps that are tried and compensated while the restart begins, should it never seem to."""


async def _succeeded(case: Case) -> Steps:
    first = expect.succeeded(await case.tried())
    yield
    expect.alike(first, await case.tried())
    await case.effects(1)
    expect.compensated(await case.compensated(result=first.result))
    await case.effects(0)


async def _rejected(case: Case) -> Steps:
    first = expect.rejected(await case.tried(case.subject.inputs.rejected))
    yield
    expect.alike(first, await case.tried(case.subject.inputs.rejected))
    await case.effects(0)


async def _compensated(case: Case) -> Steps:
    first = expect.succeeded(await case.tried())
    expect.compensated(await case.compensated(result=first.result))
    yield
    expect.late(await case.tried())
    expect.compensated(await case.compensated(result=first.result))
    await case.effects(0)


async def _tombstone(case: Case) -> Steps:
    expect.compensated(await case.compensated())
    yield
    expect.late(await case.tried())
    await case.effects(0)


async def _under_way(case: Case) -> Steps:
    calls = asyncio.create_task(_until_killed(case))
    try:
        yield
        last, answer = await calls
    finally:
        calls.cancel()  # where the restart failed, nobody waits for it
    if answer.call == "Try":
        first = expect.succeeded(await last.tried())
        await last.effects(1)
        expect.compensated(await last.compensated(result=first.result))
    else:
        expect.compensated(await last.compensated())
    expect.late(await last.tried())
    await last.effects(0)


async def _until_killed(case: Case) -> tuple[Case, Answer]:
    """Tries and compensates one saga after the other until a call gets no answer; returns that one."""
    for _ in range(_UNDER_WAY_MAX):
        last = case.sibling()
        answer = await last.once(last.a_try())
        if answer.outcome != "succeeded":
            break
        answer = await last.once(last.a_compensate(result=answer.result))
        if answer.outcome != "compensated":
            break
    return last, answer


RESTART_ROWS: Final = (
    RestartRow(
        name="restart-succeeded",
        what="after a restart, a Try that succeeded is answered as before, and can be compensated",
        check=_succeeded,
        after=("repeat-succeeded", "compensate-tried"),
    ),
    RestartRow(
        name="restart-rejected",
        what="after a restart, a Try that was rejected is rejected alike",
        check=_rejected,
        after=("repeat-rejected",),
        inputs=("rejected",),
    ),
    RestartRow(
        name="restart-compensated",
        what="after a restart, a step that was compensated is still known as such",
        check=_compensated,
        after=("late-compensated", "compensate-compensated"),
    ),
    RestartRow(
        name="restart-tombstone",
        what="after a restart, a Compensate that came first is still known",
        check=_tombstone,
        after=("late-tombstone",),
    ),
    RestartRow(
        name="restart-under-way",
        what="a call that was under way at the restart took effect once or not at all",
        check=_under_way,
        after=("repeat-succeeded", "compensate-compensated", "late-compensated"),
    ),
)
"""One restart serves all of them."""
