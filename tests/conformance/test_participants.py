"""The kit, put to the test by participants that are wrong in one thing each, and by right ones."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from google.rpc.code_pb2 import Code

from amends import Context, Participant, Pending, Rejected
from amends._payload import pack
from amends.v1 import participant_pb2 as pb
from amends_coordinator.conformance import (
    CommandFailedError,
    Inputs,
    Result,
    Subject,
    Verdict,
    certify_participant,
)
from amends_coordinator.conformance.answers import Request, Response
from tests.conformance.by_hand import ACTION, ByHand, Key, Row, StatusError
from tests.conformance.stage import ALL, certified, ended, staged
from tests.conformance.wrong import EVERY_WAY, ONE_WAY

EFFECTS = "CREATE TABLE IF NOT EXISTS effects (saga TEXT NOT NULL, change INTEGER NOT NULL)"


@pytest.mark.parametrize("kind", EVERY_WAY, ids=lambda kind: kind.__name__)
async def test_a_wrong_participant_fails_at_just_its_row(kind: type[ByHand]) -> None:
    """By unary calls and by Exchange."""
    async with staged(kind()) as stage:
        failed = ended(await certified(stage), Verdict.FAILED)
    assert set(failed) == {("unary", EVERY_WAY[kind]), ("exchange", EVERY_WAY[kind])}, failed


@pytest.mark.parametrize("kind", ONE_WAY, ids=lambda kind: kind.__name__)
async def test_a_participant_that_is_wrong_one_way_fails_at_just_that_row(kind: type[ByHand]) -> None:
    """What there is only one way for."""
    async with staged(kind()) as stage:
        failed = ended(await certified(stage), Verdict.FAILED)
    assert set(failed) == {ONE_WAY[kind]}, failed


async def test_a_right_participant_passes_every_row() -> None:
    """With all that can be told of it, nothing is skipped or passed over; no effect is left in force."""
    participant = ByHand()
    async with staged(participant) as stage:
        results = await certified(stage)
    assert {(each.verdict, each.why) for each in results} == {(Verdict.PASSED, "")}
    assert not any(participant.effects.values())


async def test_a_right_participant_without_exchange_passes() -> None:
    """The rows of Exchange are skipped, and only they."""
    async with staged(ByHand(), without=["Exchange"]) as stage:
        results = await certified(stage)
    assert not ended(results, Verdict.FAILED)
    skipped = ended(results, Verdict.SKIPPED)
    assert {over for over, _ in skipped} == {"exchange"}
    assert set(skipped.values()) == {"there is no Exchange"}


class ResetsAStream(ByHand):
    """Has no Exchange, and fails a stream with INTERNAL; the next one ends otherwise, or stays open."""

    def __init__(self, then: grpc.StatusCode | None) -> None:
        super().__init__()
        self.ends = iter([grpc.StatusCode.INTERNAL, then])

    async def Exchange(
        self, messages: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        code = next(self.ends)
        if code is None:
            await asyncio.Event().wait()
        await context.abort(code)
        yield pb.ExchangeResponse()


async def test_a_participant_without_exchange_that_resets_a_stream_passes() -> None:
    """As servers of grpc-js do now and then: another stream tells why."""
    async with staged(ResetsAStream(then=grpc.StatusCode.UNIMPLEMENTED)) as stage:
        results = await certified(stage)
    assert not ended(results, Verdict.FAILED)
    assert ("exchange", "exchange") in ended(results, Verdict.PASSED)
    assert set(ended(results, Verdict.SKIPPED).values()) == {"there is no Exchange"}


@pytest.mark.parametrize("then", [grpc.StatusCode.INTERNAL, None])
async def test_a_stream_that_is_reset_for_no_good_reason_fails_its_row(
    then: grpc.StatusCode | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stream is reset, too, or is taken as if there were an Exchange."""
    monkeypatch.setattr("amends_coordinator.conformance.ways.REFUSAL_TIMEOUT", 0.1)
    async with staged(ResetsAStream(then)) as stage:
        failed = ended(await certified(stage), Verdict.FAILED)
    why = "the stream ended with INTERNAL and left calls unanswered"
    assert failed == {("exchange", "exchange"): why}


async def certified_in_process(
    participant: Participant, count: Callable[[str], Awaitable[int]]
) -> list[Result]:
    """Has a participant of the SDK certified, with all that can be told of it."""
    port = await participant.start("127.0.0.1:0")

    async def restart() -> None:
        await participant.stop(0.0)
        await participant.start(f"127.0.0.1:{port}")

    subject = Subject(action=ACTION, inputs=ALL, count_effects=count, restart=restart)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            results = await certify_participant(channel, participant.describe(), subject)
    finally:
        await participant.stop(0.0)
    return results


async def test_a_participant_of_the_sdk_passes_every_row(tmp_path: Path) -> None:
    """On SQLite, by both ways, and after a restart."""
    participant = Participant("ledger", store=f"sqlite:///{tmp_path}/ledger.db", schema=EFFECTS)

    @participant.action(name=ACTION)
    def act(how: dict[str, str], ctx: Context) -> dict[str, str]:
        ctx.db.execute("INSERT INTO effects VALUES (?, 1)", (ctx.saga_id,))
        if how["how"] == "reject":
            raise Rejected("NOT_HERE")
        if how["how"] == "wait":
            raise Pending(0.05)
        if how["how"] == "fail":
            raise RuntimeError("as arranged")
        return {"id": ctx.idempotency_key}

    @act.compensate
    def undo(_how: dict[str, str], _result: dict[str, str] | None, ctx: Context) -> None:
        ctx.db.execute("INSERT INTO effects VALUES (?, -1)", (ctx.saga_id,))

    async def count(saga_id: str) -> int:
        with sqlite3.connect(tmp_path / "ledger.db") as db:
            (number,) = db.execute("SELECT sum(change) FROM effects WHERE saga = ?", (saga_id,)).fetchone()
        db.close()
        return number or 0

    results = await certified_in_process(participant, count)
    assert {(each.verdict, each.why) for each in results} == {(Verdict.PASSED, "")}


async def test_an_external_action_of_the_sdk_passes_every_row(tmp_path: Path) -> None:
    """Its effects are a provider's, which knows them by the idempotency key."""
    participant = Participant("broker", store=f"sqlite:///{tmp_path}/broker.db")
    provider: set[str] = set()

    @participant.action(name=ACTION, external=True)
    async def act(how: dict[str, str], ctx: Context) -> dict[str, str]:
        if how["how"] == "reject":
            raise Rejected("NOT_HERE")
        if how["how"] == "wait":
            raise Pending(0.05)
        if how["how"] == "fail":
            raise RuntimeError("as arranged")
        provider.add(ctx.idempotency_key)
        return {"id": ctx.idempotency_key}

    @act.compensate
    async def undo(_how: dict[str, str], _result: dict[str, str] | None, ctx: Context) -> None:
        provider.discard(ctx.idempotency_key)

    async def count(saga_id: str) -> int:
        return sum(key.startswith(saga_id) for key in provider)

    results = await certified_in_process(participant, count)
    assert {(each.verdict, each.why) for each in results} == {(Verdict.PASSED, "")}


async def test_what_cannot_be_checked_is_skipped_with_the_reason() -> None:
    """Without inputs, effects and restart; effects that were not counted are told where a row passed."""
    async with staged(ByHand()) as stage:
        results = await certified(stage, Subject(action=ACTION, inputs=Inputs(succeeding=ALL.succeeding)))
    assert not ended(results, Verdict.FAILED)
    skipped = ended(results, Verdict.SKIPPED)
    assert skipped["unary", "try-rejected"] == "needs --rejected-input"
    assert skipped["exchange", "reuse-succeeded"] == "needs --other-input or --rejected-input"
    assert skipped["unary", "restart-succeeded"] == "needs --restart"
    passed = ended(results, Verdict.PASSED)
    assert passed["unary", "try"] == "by answers alone: needs --effects"
    assert passed["unary", "unknown-action"] == ""


class Terse(ByHand):
    """Has no results, and rejects by a status."""

    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        if answer.HasField("rejected"):
            del self.rows[key]
            raise StatusError(Code.FAILED_PRECONDITION)
        if answer.HasField("succeeded"):
            answer.succeeded.ClearField("result")
        return answer


async def test_a_participant_without_results_that_rejects_by_a_status_passes() -> None:
    """What then cannot be seen is skipped."""
    async with staged(Terse()) as stage:
        results = await certified(stage)
    assert not ended(results, Verdict.FAILED)
    skipped = {row for _, row in ended(results, Verdict.SKIPPED)}
    assert skipped == {"compensate-unlearned", "fence-lost", "reuse-rejected"}


class Busy(ByHand):
    """Decides nothing at first sight: the first Try of a key is pending, the first Compensate unavailable."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str, str]] = set()

    async def answer(self, request: Request) -> Response:
        self.check(request)
        sign = (type(request).__name__, request.saga_id, request.step)
        if sign in self.seen or request.step in ("try-failing", "exchange", "restart-under-way"):
            return await super().answer(request)
        self.seen.add(sign)
        if isinstance(request, pb.TryRequest):
            pending = pb.Pending()
            pending.retry_after.FromMilliseconds(1)
            return pb.TryResponse(pending=pending)
        busy = StatusError(Code.UNAVAILABLE)
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(1)
        busy.status.details.add().Pack(retry)
        raise busy


async def test_what_is_pending_or_unknown_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a coordinator would."""
    monkeypatch.setattr("amends_coordinator.conformance.case.PAUSE", 0.001)
    async with staged(Busy()) as stage:
        assert not ended(await certified(stage), Verdict.FAILED)


class LeavesCallsUnanswered(ByHand):
    """Where many come in one message."""

    async def Exchange(
        self, messages: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        async for message in super().Exchange(messages, context):
            if len(message.replies) > 8:
                del message.replies[1:]
            yield message


async def test_a_call_without_a_reply_fails_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as long as a call may take."""
    monkeypatch.setattr("amends_coordinator.conformance.ways.CALL_TIMEOUT", 2.0)
    async with staged(LeavesCallsUnanswered()) as stage:
        failed = ended(await certified(stage), Verdict.FAILED)
    assert failed == {("exchange", "batch"): "10 of 11 calls in a message had no reply within 2 s"}


class FailsBeforeTheRestart(ByHand):
    """And only then."""

    def check(self, request: Request) -> None:
        super().check(request)
        if request.step == "restart-tombstone":
            raise StatusError(Code.NOT_FOUND)


async def test_a_row_that_fails_before_the_restart_is_told() -> None:
    """The others go on."""
    async with staged(FailsBeforeTheRestart()) as stage:
        failed = ended(await certified(stage), Verdict.FAILED)
    assert set(failed) == {("unary", "restart-tombstone")}


async def test_a_failing_command_fails_the_rows_that_need_it() -> None:
    """With its words."""

    async def fail_to_restart() -> None:
        raise CommandFailedError("as arranged")

    async def fail_to_count(_saga_id: str) -> int:
        raise CommandFailedError("as arranged")

    async with staged(ByHand()) as stage:
        told = stage.subject()
        subject = Subject(action=told.action, inputs=told.inputs, restart=fail_to_restart)
        failed = ended(await certified(stage, subject), Verdict.FAILED)
        assert {row.partition("-")[0] for _, row in failed} == {"restart"}
        assert set(failed.values()) == {"it could not be restarted: as arranged"}
        subject = Subject(action=told.action, inputs=told.inputs, count_effects=fail_to_count)
        failed = ended(await certified(stage, subject), Verdict.FAILED)
    assert failed["unary", "try"] == "the effects could not be counted: as arranged"


async def test_a_participant_that_stays_away_after_its_restart_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit waits for it, and not for ever."""
    monkeypatch.setattr("amends_coordinator.conformance.participant.RESTART_PATIENCE", 0.05)
    async with staged(ByHand()) as stage:
        told = stage.subject()
        subject = Subject(action=told.action, inputs=told.inputs, restart=stage.stop)
        failed = ended(await certified(stage, subject), Verdict.FAILED)
    assert failed["unary", "restart-succeeded"].startswith("it did not answer after its restart: ")


class Shuffles(ByHand):
    """Gives the fields of a result in another order every time."""

    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        answer = super().run(key, request)
        if answer.HasField("succeeded"):
            answer.succeeded.result.value += pack({"more": "words"}).value
        return answer

    def repeated(self, key: Key, request: pb.TryRequest, row: Row) -> pb.TryResponse:
        answer = super().repeated(key, request, row)
        more = pack({"more": "words"}).value
        if answer.HasField("succeeded"):
            payload = answer.succeeded.result
            payload.value = more + payload.value.replace(more, b"")
        return answer


async def test_a_result_that_is_json_may_come_in_another_order() -> None:
    """Objects of JSON have none, and Go writes maps in a new one every time."""

    async with staged(Shuffles()) as stage:
        assert not ended(await certified(stage), Verdict.FAILED)
