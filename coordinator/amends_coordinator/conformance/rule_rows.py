"""The rules around the fence: malformed calls and their statuses, and calls that come at once."""

from typing import Final

from google.rpc.code_pb2 import Code

from amends_coordinator.conformance import expect
from amends_coordinator.conformance.answers import Request
from amends_coordinator.conformance.case import Case
from amends_coordinator.conformance.results import NonconformingError, UncheckableError
from amends_coordinator.conformance.row import Row
from amends_coordinator.conformance.ways import Exchange

AT_ONCE: Final = 8
"""Calls that are made at once: enough to meet each other in every pool of threads or connections."""

_MALFORMED: Final = ("", "a" * 129, "a b", "a/b", "\u00e4")
"""Ids and names that the contract does not allow: none, too long, and with letters outside of its set."""

_NO_ACTION: Final = "conformance-no-such-action"


async def _unknown_action(case: Case) -> None:
    expect.status(await case.once(case.a_try(action=_NO_ACTION)), Code.UNIMPLEMENTED)
    expect.status(await case.once(case.a_compensate(action=_NO_ACTION)), Code.UNIMPLEMENTED)


async def _malformed_saga_id(case: Case) -> None:
    await _malformed(case, "saga_id")


async def _malformed_step(case: Case) -> None:
    await _malformed(case, "step")


async def _malformed(case: Case, field: str) -> None:
    for value in _MALFORMED:
        requests: tuple[Request, ...] = (case.a_try(), case.a_compensate())
        for request in requests:
            setattr(request, field, value)
            try:
                expect.status(await case.once(request), Code.INVALID_ARGUMENT)
            except NonconformingError as error:
                shown = f"{value[:10]}..." if len(value) > 10 else value
                raise NonconformingError(f"{field} {shown!r}: {error}") from None


async def _details(case: Case) -> None:
    answer = await case.once(case.a_try(action=_NO_ACTION))
    if answer.response is not None:
        raise UncheckableError("no call failed with a status")
    if answer.flaw:
        raise NonconformingError(f"{answer.flaw}; a coordinator passes such details over")


async def _tries_at_once(case: Case) -> None:
    answers = await case.decided([case.a_try() for _ in range(AT_ONCE)])
    for answer in answers:
        expect.succeeded(answer)
        expect.alike(answers[0], answer)
    await case.effects(1)


async def _compensates_at_once(case: Case) -> None:
    result = expect.succeeded(await case.tried()).result
    for answer in await case.decided([case.a_compensate(result=result) for _ in range(AT_ONCE)]):
        expect.compensated(answer)
    await case.effects(0)


async def _both_at_once(case: Case) -> None:
    requests: list[Request] = []
    for _ in range(AT_ONCE // 2):
        requests += [case.a_try(), case.a_compensate()]
    for answer in await case.decided(requests):
        if answer.call == "Compensate":
            expect.compensated(answer)
        elif answer.outcome != "succeeded":  # it came before, and is undone by now
            expect.late(answer)
    expect.late(await case.tried())
    await case.effects(0)


async def _batch(case: Case) -> None:
    way = case.way
    assert isinstance(way, Exchange), "the row is for this way alone"
    requests: list[Request] = [case.a_try(action=_NO_ACTION), case.a_try(), case.a_compensate(step="first")]
    requests += [case.sibling().a_compensate() for _ in range(AT_ONCE)]
    unknown, tried, *compensated = await case.decided(requests)
    expect.status(unknown, Code.UNIMPLEMENTED)
    expect.succeeded(tried)
    for answer in compensated:
        expect.compensated(answer)
    await case.once(case.a_try())  # by when a second reply to one of these has arrived, too
    if way.stray:
        raise NonconformingError(f"calls had more than one reply, or were never made: {way.stray[:5]}")


async def _both_ways(case: Case) -> None:
    first = expect.succeeded(await case.tried())
    expect.alike(first, await case.by("unary").tried())
    await case.effects(1)


RULE_ROWS: Final = (
    Row(
        name="unknown-action",
        what="an action that is not offered fails with UNIMPLEMENTED",
        check=_unknown_action,
    ),
    Row(
        name="malformed-saga-id",
        what="a malformed saga_id fails with INVALID_ARGUMENT",
        check=_malformed_saga_id,
    ),
    Row(name="malformed-step", what="a malformed step fails with INVALID_ARGUMENT", check=_malformed_step),
    Row(
        name="status-details",
        what="a status that carries details of google.rpc carries its own",
        check=_details,
        after=("unknown-action",),
    ),
    Row(
        name="tries-at-once",
        what=f"{AT_ONCE} Try calls of one step at once get one answer, and have one effect",
        check=_tries_at_once,
        after=("repeat-succeeded",),
    ),
    Row(
        name="compensates-at-once",
        what=f"{AT_ONCE} Compensate calls of one step at once undo it once",
        check=_compensates_at_once,
        after=("compensate-compensated",),
    ),
    Row(
        name="both-at-once",
        what=f"{AT_ONCE // 2} Try and {AT_ONCE // 2} Compensate calls of one step at once leave no effect",
        check=_both_at_once,
        after=(
            "repeat-succeeded",
            "compensate-unlearned",
            "compensate-compensated",
            "compensate-tombstone",
            "late-compensated",
            "late-tombstone",
        ),
    ),
)
"""What holds either way."""

EXCHANGE_ROWS: Final = (
    Row(
        name="batch",
        what="every call in a message gets exactly one reply, whatever becomes of the others",
        check=_batch,
        after=("try", "compensate-none", "unknown-action"),
    ),
    Row(
        name="both-ways",
        what="what came by Exchange is known to the unary RPCs",
        check=_both_ways,
        after=("repeat-succeeded",),
    ),
)
"""What holds of an Exchange alone."""
