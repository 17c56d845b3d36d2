"""The table of the fence: what a call means, given what its step has done already."""

from typing import Final

from amends_coordinator.conformance import expect
from amends_coordinator.conformance.case import Case
from amends_coordinator.conformance.results import UncheckableError
from amends_coordinator.conformance.row import Row


async def _try(case: Case) -> None:
    expect.succeeded(await case.tried())
    await case.effects(1)


async def _try_rejected(case: Case) -> None:
    expect.rejected(await case.tried(case.subject.inputs.rejected))
    await case.effects(0)


async def _try_failing(case: Case) -> None:
    for _ in ("first", "again"):  # the first leaves nothing behind that would answer the second
        expect.unknown(await case.once(case.a_try(case.subject.inputs.failing)))
        await case.effects(0)
    expect.compensated(await case.compensated())
    await case.effects(0)


async def _try_pending(case: Case) -> None:
    expect.pending(await case.once(case.a_try(case.subject.inputs.pending)))
    expect.compensated(await case.compensated())
    expect.late(await case.tried(case.subject.inputs.pending))
    await case.effects(0)


async def _repeat_succeeded(case: Case) -> None:
    first = expect.succeeded(await case.tried())
    expect.alike(first, await case.tried())
    await case.effects(1)


async def _repeat_rejected(case: Case) -> None:
    first = expect.rejected(await case.tried(case.subject.inputs.rejected))
    expect.alike(first, await case.tried(case.subject.inputs.rejected))
    await case.effects(0)


async def _reuse_succeeded(case: Case) -> None:
    expect.succeeded(await case.tried())
    expect.reused(await case.tried(case.subject.inputs.other))
    await case.effects(1)


async def _reuse_rejected(case: Case) -> None:
    if expect.rejected(await case.tried(case.subject.inputs.rejected)).response is None:
        raise UncheckableError("the Try is rejected by a status, which need not be remembered")
    expect.reused(await case.tried())
    await case.effects(0)


async def _compensate_none(case: Case) -> None:
    expect.compensated(await case.compensated())
    await case.effects(0)


async def _compensate_tried(case: Case) -> None:
    first = expect.succeeded(await case.tried())
    expect.compensated(await case.compensated(result=first.result))
    await case.effects(0)


async def _compensate_unlearned(case: Case) -> None:
    if expect.succeeded(await case.tried()).result is None:
        raise UncheckableError("the action has no result")
    expect.compensated(await case.compensated())
    await case.effects(0)


async def _compensate_rejected(case: Case) -> None:
    expect.rejected(await case.tried(case.subject.inputs.rejected))
    expect.compensated(await case.compensated())
    await case.effects(0)


async def _compensate_compensated(case: Case) -> None:
    first = expect.succeeded(await case.tried())
    for _ in ("first", "again"):
        expect.compensated(await case.compensated(result=first.result))
    await case.effects(0)


async def _compensate_tombstone(case: Case) -> None:
    for _ in ("first", "again"):
        expect.compensated(await case.compensated())
    await case.effects(0)


async def _late_compensated(case: Case) -> None:
    first = expect.succeeded(await case.tried())
    expect.compensated(await case.compensated(result=first.result))
    expect.late(await case.tried())
    await case.effects(0)


async def _late_tombstone(case: Case) -> None:
    expect.compensated(await case.compensated())
    expect.late(await case.tried())
    await case.effects(0)


async def _lost(case: Case) -> None:
    result = expect.succeeded(await case.sibling().tried()).result
    if result is None:
        raise UncheckableError("the action has no result, without which nobody can tell")
    expect.refused(await case.compensated(result=result))


async def _keys(case: Case) -> None:
    first = expect.succeeded(await case.tried(step="one"))
    expect.compensated(await case.compensated(result=first.result, step="one"))
    expect.succeeded(await case.tried(step="two"))
    await case.effects(1)


FENCE_ROWS: Final = (
    Row(name="try", what="a Try succeeds, and has its effect", check=_try),
    Row(
        name="try-rejected",
        what="a Try is rejected with a reason, and has no effect",
        check=_try_rejected,
        inputs=("rejected",),
    ),
    Row(
        name="repeat-succeeded",
        what="a repeated Try is answered as the first one, with no second effect",
        check=_repeat_succeeded,
        after=("try",),
    ),
    Row(
        name="repeat-rejected",
        what="a Try that was rejected is rejected alike when repeated",
        check=_repeat_rejected,
        after=("try-rejected",),
        inputs=("rejected",),
    ),
    Row(
        name="reuse-succeeded",
        what="a Try with another input than the one that succeeded fails with INVALID_ARGUMENT",
        check=_reuse_succeeded,
        after=("try",),
        inputs=("other",),
    ),
    Row(
        name="reuse-rejected",
        what="a Try with another input than the one that was rejected fails with INVALID_ARGUMENT",
        check=_reuse_rejected,
        after=("try-rejected",),
        inputs=("rejected",),
    ),
    Row(
        name="compensate-none",
        what="a Compensate without a Try is compensated, and has no effect",
        check=_compensate_none,
    ),
    Row(
        name="compensate-tried",
        what="a Compensate undoes the effect of its Try",
        check=_compensate_tried,
        after=("try",),
    ),
    Row(
        name="compensate-unlearned",
        what="a Compensate that brings no result undoes the effect of its Try all the same",
        check=_compensate_unlearned,
        after=("try", "compensate-tried"),
    ),
    Row(
        name="compensate-rejected",
        what="a Compensate of a rejected Try is compensated, and has no effect",
        check=_compensate_rejected,
        after=("try-rejected",),
        inputs=("rejected",),
    ),
    Row(
        name="compensate-compensated",
        what="a repeated Compensate is compensated, and undoes nothing twice",
        check=_compensate_compensated,
        after=("compensate-tried",),
    ),
    Row(
        name="compensate-tombstone",
        what="a repeated Compensate without a Try is compensated",
        check=_compensate_tombstone,
        after=("compensate-none",),
    ),
    Row(
        name="late-compensated",
        what="a Try after its Compensate is rejected with ALREADY_COMPENSATED, and has no effect",
        check=_late_compensated,
        after=("compensate-tried",),
    ),
    Row(
        name="late-tombstone",
        what="a Try whose Compensate came first is rejected with ALREADY_COMPENSATED, and has no effect",
        check=_late_tombstone,
        after=("compensate-none",),
    ),
    Row(
        name="try-failing",
        what="a Try that fails is repeated, and leaves no effect and no answer behind",
        check=_try_failing,
        after=("compensate-none",),
        inputs=("failing",),
    ),
    Row(
        name="try-pending",
        what="a Try is pending; compensated meanwhile, it has no effect",
        check=_try_pending,
        after=("late-tombstone",),
        inputs=("pending",),
    ),
    Row(
        name="fence-lost",
        what="a Compensate that brings the result of a Try nobody remembers is refused",
        check=_lost,
        after=("try",),
    ),
    Row(
        name="keys",
        what="two steps of a saga are tried and compensated apart",
        check=_keys,
        after=("compensate-tried",),
    ),
)
"""In the order of the table; what others build on comes first."""
