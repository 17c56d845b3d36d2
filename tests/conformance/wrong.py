"""Participants that are each wrong in one thing, by the rows that should find it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends_coordinator.conformance.answers import Request, Response
from tests.conformance.by_hand import ACTION, COMPENSATED, ByHand, Key, Row, StatusError


class ListsActionsTwice(ByHand):
    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:
        described = await super().Describe(request, context)
        described.actions.append(described.actions[0])
        return described


# Try, no row


class SucceedsWithoutEffect(ByHand):
    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        self.effects[key] = 0
        return answer


class SucceedsWithoutOutcome(ByHand):
    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        return pb.TryResponse() if answer.HasField("succeeded") else answer


class BringsForth(ByHand):
    """A result of another size."""

    payload = any_pb2.Any()

    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        if answer.HasField("succeeded"):
            answer.succeeded.result.CopyFrom(self.payload)
        return answer


class BringsForthTooMuch(BringsForth):
    payload = any_pb2.Any(type_url="x/y", value=b"a" * ((1 << 20) + 1))


class BringsForthALongType(BringsForth):
    payload = any_pb2.Any(type_url="x/" + "y" * 511)


class BringsForthAnew(BringsForth):
    """Bytes that are not what they say they are, and others every time."""

    payload = any_pb2.Any(type_url="x/google.protobuf.Struct", value=b"\xff")

    def repeated(self, key: Key, request: pb.TryRequest, row: Row) -> pb.TryResponse:
        answer = pb.TryResponse()
        answer.CopyFrom(super().repeated(key, request, row))
        if answer.HasField("succeeded"):
            answer.succeeded.result.value += b"\xff"
        return answer


class RejectsWithEffect(ByHand):
    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        if answer.HasField("rejected"):
            self.effects[key] = 1
        return answer


class RejectsWithoutReason(ByHand):
    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        if answer.HasField("rejected"):
            answer.rejected.reason = "not here"
        return answer


class FailsForGood(ByHand):
    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        try:
            return super().run(key, request)
        except StatusError:
            raise StatusError(Code.FAILED_PRECONDITION) from None


class IsNeverPending(ByHand):
    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        if answer.HasField("pending"):
            answer.rejected.reason = "NOT_YET"
        return answer


class KeepsTheEffectOfAFailure(ByHand):
    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        try:
            return super().run(key, request)
        except StatusError:
            self.effects[key] += 1
            raise


class ForgetsWhatWasPending(ByHand):
    """Compensated while it was pending, a Try takes effect after all."""

    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        if answer.HasField("pending"):
            self.rows[key] = Row("PENDING", request.input.SerializeToString(), answer)
        return answer

    def confirm(self, key: Key, row: Row) -> pb.CompensateResponse:
        if row.state == "PENDING":
            row.answer = pb.TryResponse(succeeded=pb.TryResponse.Succeeded())
        return COMPENSATED


# Try, TRIED or REJECTED


class TriesAgain(ByHand):
    def repeated(self, key: Key, request: pb.TryRequest, row: Row) -> pb.TryResponse:
        return self.run(key, request) if row.state == "TRIED" else super().repeated(key, request, row)


class TriesAgainAndAnswersAlike(ByHand):
    """No answer tells it; the effects do."""

    def repeated(self, key: Key, request: pb.TryRequest, row: Row) -> pb.TryResponse:
        self.effects[key] += row.state == "TRIED"
        return super().repeated(key, request, row)


class RejectsAnew(ByHand):
    def repeated(self, key: Key, request: pb.TryRequest, row: Row) -> pb.TryResponse:
        return self.run(key, request) if row.state == "REJECTED" else super().repeated(key, request, row)


class TakesAnotherInputForTheSame(ByHand):
    state = "TRIED"

    def reused(self, key: Key, row: Row) -> pb.TryResponse:
        assert row.answer is not None
        return row.answer if row.state == self.state else super().reused(key, row)


class TakesAnotherInputForTheRejected(TakesAnotherInputForTheSame):
    state = "REJECTED"


# Try, COMPENSATED or TOMBSTONE


class AnswersALateTryAsBefore(ByHand):
    def late(self, key: Key, row: Row) -> pb.TryResponse:
        return super().late(key, row) if row.answer is None else row.answer


class RejectsALateTryForAnotherReason(ByHand):
    def late(self, key: Key, row: Row) -> pb.TryResponse:
        if row.state == "TOMBSTONE":
            return super().late(key, row)
        return pb.TryResponse(rejected=pb.Rejected(reason="TOO_LATE"))


class ForgetsThatCompensateCameFirst(ByHand):
    def bury(self, key: Key) -> pb.CompensateResponse:
        return COMPENSATED


# Compensate


class KnowsNothingToCompensate(ByHand):
    def bury(self, key: Key) -> pb.CompensateResponse:
        super().bury(key)
        raise StatusError(Code.NOT_FOUND)


class UndoesNothing(ByHand):
    def undo(self, key: Key, request: pb.CompensateRequest, row: Row) -> pb.CompensateResponse:
        row.state = "COMPENSATED"
        return COMPENSATED


class RefusesToUndo(ByHand):
    def undo(self, key: Key, request: pb.CompensateRequest, row: Row) -> pb.CompensateResponse:
        return pb.CompensateResponse(refused=pb.CompensateResponse.Refused(reason="NEVER"))


class UndoesOnlyWithAResult(ByHand):
    def undo(self, key: Key, request: pb.CompensateRequest, row: Row) -> pb.CompensateResponse:
        if not request.HasField("result"):
            return COMPENSATED
        return super().undo(key, request, row)


class ConfirmsAll(ByHand):
    """All but those in one state."""

    state = ""

    def confirm(self, key: Key, row: Row) -> pb.CompensateResponse:
        if row.state == self.state:
            raise StatusError(Code.FAILED_PRECONDITION)
        return super().confirm(key, row)


class RefusesTheRejected(ConfirmsAll):
    state = "REJECTED"


class RefusesTheCompensated(ConfirmsAll):
    state = "COMPENSATED"


class RefusesTheTombstone(ConfirmsAll):
    state = "TOMBSTONE"


class UndoesTwice(ByHand):
    def confirm(self, key: Key, row: Row) -> pb.CompensateResponse:
        self.effects[key] -= row.state == "COMPENSATED"
        return COMPENSATED


class UndoesWhatWasRejected(ByHand):
    def confirm(self, key: Key, row: Row) -> pb.CompensateResponse:
        self.effects[key] -= row.state == "REJECTED"
        return COMPENSATED


class BelievesThatNothingWasLost(ByHand):
    def lost(self, key: Key) -> pb.CompensateResponse:
        return self.bury(key)


class KnowsASagaByItsIdAlone(ByHand):
    def key(self, request: Request) -> Key:
        return request.saga_id, "any"


# The rules around it


class TakesAnyAction(ByHand):
    def check(self, request: Request) -> None:
        if request.action != ACTION:
            raise StatusError(Code.NOT_FOUND)
        super().check(request)


class TakesAnySagaId(ByHand):
    def check(self, request: Request) -> None:
        good = type(request)()
        good.CopyFrom(request)
        good.saga_id = "good"
        super().check(good)


class TakesAnyStep(ByHand):
    def check(self, request: Request) -> None:
        good = type(request)()
        good.CopyFrom(request)
        good.step = "good"
        super().check(good)


class GivesDetailsOfAnotherStatus(ByHand):
    def trailers(self, error: StatusError) -> tuple[tuple[str, bytes], ...]:
        error.status.code = Code.OK
        return super().trailers(error)


class GivesDetailsThatAreNone(ByHand):
    def trailers(self, error: StatusError) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", b"\xff"),)


class GivesADetailThatIsNone(ByHand):
    def check(self, request: Request) -> None:
        try:
            super().check(request)
        except StatusError as error:
            error.status.details.add(type_url="x/google.rpc.ErrorInfo", value=b"\xff")
            raise


class WantsToBeAskedInThePast(ByHand):
    def check(self, request: Request) -> None:
        try:
            super().check(request)
        except StatusError as error:
            info = error_details_pb2.RetryInfo()
            info.retry_delay.FromSeconds(-1)
            error.status.details.add().Pack(info)
            raise


# At once


class Racing(ByHand):
    """Locks nothing in one row, whose calls all wait for each other between looking and doing."""

    row = ""
    calls = 8

    def __init__(self) -> None:
        super().__init__()
        self.met = asyncio.Barrier(self.calls)

    async def answer(self, request: Request) -> Response:
        if request.step != self.row or not self.races(request):
            return await super().answer(request)
        self.check(request)
        found = self.rows.get(self.key(request))
        await self.met.wait()
        return self.act(self.key(request), request, found)

    def races(self, request: Request) -> bool:
        return request.saga_id not in {saga for saga, _ in self.rows} or self.met.n_waiting > 0

    def act(self, key: Key, request: Request, found: Row | None) -> Response:
        raise NotImplementedError


class TriesAtOnce(Racing):
    row = "tries-at-once"

    def act(self, key: Key, request: Request, found: Row | None) -> Response:
        assert isinstance(request, pb.TryRequest)
        return self.run(key, request)


class UndoesAtOnce(Racing):
    row = "compensates-at-once"

    def races(self, request: Request) -> bool:
        return isinstance(request, pb.CompensateRequest) and request.attempt <= self.calls

    def act(self, key: Key, request: Request, found: Row | None) -> Response:
        assert isinstance(request, pb.CompensateRequest)
        assert found is not None
        return self.undo(key, request, found)


class TriesWhatIsBeingCompensated(Racing):
    row = "both-at-once"

    def races(self, request: Request) -> bool:
        return request.attempt <= self.calls // 2

    def act(self, key: Key, request: Request, found: Row | None) -> Response:
        if isinstance(request, pb.CompensateRequest):
            return COMPENSATED if found is None else self.undo(key, request, found)
        return self.run(key, request)


# Exchange


class RepliesTwice(ByHand):
    async def Exchange(
        self, messages: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        async for message in super().Exchange(messages, context):
            message.replies.append(message.replies[-1])
            yield message


class RepliesWithTheOtherResponse(ByHand):
    """To calls that come with others."""

    async def Exchange(
        self, messages: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        async for message in super().Exchange(messages, context):
            if len({reply.WhichOneof("result") for reply in message.replies}) == 3:
                message.replies[-1].try_response.SetInParent()
            yield message


class KeepsAFenceForEachWay(ByHand):
    async def reply(self, call: pb.ExchangeRequest.Call) -> pb.ExchangeResponse.Reply:
        request = call.try_request if call.HasField("try_request") else call.compensate_request
        request.saga_id = request.saga_id.replace("conformance", "exchange")
        return await super().reply(call)

    async def count_effects(self, saga_id: str) -> int:
        return await super().count_effects(saga_id) + await super().count_effects(
            saga_id.replace("conformance", "exchange")
        )


class HasNoStream(ByHand):
    """And says so with the wrong status."""

    async def Exchange(
        self, messages: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        await context.abort(grpc.StatusCode.NOT_FOUND)
        yield pb.ExchangeResponse()


# Restarts


class Forgets(ByHand):
    """Keeps rows of one state in memory only."""

    state = ""

    def restarted(self) -> None:
        super().restarted()
        self.rows = {key: row for key, row in self.rows.items() if row.state != self.state}


class ForgetsTheTried(Forgets):
    state = "TRIED"


class ForgetsTheRejected(Forgets):
    state = "REJECTED"


class ForgetsTheCompensated(Forgets):
    state = "COMPENSATED"


class ForgetsTheTombstone(Forgets):
    state = "TOMBSTONE"


class RemembersTooLate(ByHand):
    """Has an effect committed before its row; the restart comes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.effective = asyncio.Event()

    async def tried(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        if request.step == "restart-under-way" and not self.effective.is_set():
            self.effects[key] += 1
            self.effective.set()
            await asyncio.Event().wait()
        return await super().tried(key, request)

    async def restarting(self) -> None:
        await self.effective.wait()


EVERY_WAY: Final[dict[type[ByHand], str]] = {
    SucceedsWithoutEffect: "try",
    SucceedsWithoutOutcome: "try",
    BringsForthTooMuch: "try",
    BringsForthALongType: "try",
    BringsForthAnew: "repeat-succeeded",
    RejectsWithEffect: "try-rejected",
    RejectsWithoutReason: "try-rejected",
    FailsForGood: "try-failing",
    KeepsTheEffectOfAFailure: "try-failing",
    IsNeverPending: "try-pending",
    ForgetsWhatWasPending: "try-pending",
    TriesAgain: "repeat-succeeded",
    TriesAgainAndAnswersAlike: "repeat-succeeded",
    RejectsAnew: "repeat-rejected",
    TakesAnotherInputForTheSame: "reuse-succeeded",
    TakesAnotherInputForTheRejected: "reuse-rejected",
    AnswersALateTryAsBefore: "late-compensated",
    RejectsALateTryForAnotherReason: "late-compensated",
    ForgetsThatCompensateCameFirst: "late-tombstone",
    KnowsNothingToCompensate: "compensate-none",
    UndoesNothing: "compensate-tried",
    RefusesToUndo: "compensate-tried",
    UndoesOnlyWithAResult: "compensate-unlearned",
    RefusesTheRejected: "compensate-rejected",
    UndoesWhatWasRejected: "compensate-rejected",
    RefusesTheCompensated: "compensate-compensated",
    UndoesTwice: "compensate-compensated",
    RefusesTheTombstone: "compensate-tombstone",
    BelievesThatNothingWasLost: "fence-lost",
    KnowsASagaByItsIdAlone: "keys",
    TakesAnyAction: "unknown-action",
    TakesAnySagaId: "malformed-saga-id",
    TakesAnyStep: "malformed-step",
    GivesADetailThatIsNone: "status-details",
    WantsToBeAskedInThePast: "status-details",
    TriesAtOnce: "tries-at-once",
    UndoesAtOnce: "compensates-at-once",
    TriesWhatIsBeingCompensated: "both-at-once",
}
"""Wrong either way: the row should fail by unary calls and by Exchange, and no other."""

ONE_WAY: Final[dict[type[ByHand], tuple[str, str]]] = {
    ListsActionsTwice: ("", "describe"),
    GivesDetailsOfAnotherStatus: ("unary", "status-details"),
    GivesDetailsThatAreNone: ("unary", "status-details"),
    RepliesTwice: ("exchange", "batch"),
    RepliesWithTheOtherResponse: ("exchange", "batch"),
    KeepsAFenceForEachWay: ("exchange", "both-ways"),
    HasNoStream: ("exchange", "exchange"),
    ForgetsTheTried: ("unary", "restart-succeeded"),
    ForgetsTheRejected: ("unary", "restart-rejected"),
    ForgetsTheCompensated: ("unary", "restart-compensated"),
    ForgetsTheTombstone: ("unary", "restart-tombstone"),
    RemembersTooLate: ("unary", "restart-under-way"),
}
"""Wrong in what there is only one way for: this row should fail, and no other."""
