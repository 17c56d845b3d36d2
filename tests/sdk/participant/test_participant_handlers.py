"""What a handler is given, and how handlers are declared."""

from __future__ import annotations

import asyncio
import enum
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import grpc
import pytest

from amends import Context, Fault, HandlerError, Participant, UsageError
from amends._participant import performing
from amends._payload import pack, unpack
from amends._transactions import batch
from amends.v1 import participant_pb2 as pb
from tests.sdk.participant.calls import INSERT, SCHEMA, effects, exchange_of, outcomes, try_request

Json = dict  # type: ignore[type-arg]


class Size(enum.Enum):
    SMALL = "small"


@dataclass
class Order:
    account: str
    size: Size = Size.SMALL


@dataclass
class Charge:
    id: str
    amount: float


@pytest.fixture
def memory() -> Participant:
    return Participant("shop", store="memory:")


async def result_of(participant: Participant, request: pb.TryRequest, expected: Any) -> Any:
    async with participant:
        response = await participant.handle_try(request)
    return unpack(response.succeeded.result, expected)


async def test_dataclasses_go_in_and_out(memory: Participant) -> None:
    @memory.action(name="act")
    def act(order: Order, ctx: Context) -> Charge:
        assert order.size is Size.SMALL
        return Charge(id=order.account, amount=2)

    assert await result_of(memory, try_request(Order("a1")), Charge) == Charge("a1", 2.0)


async def test_messages_go_in_and_out(memory: Participant) -> None:
    @memory.action(name="act")
    def act(order: pb.Rejected, ctx: Context) -> pb.Pending:
        return pb.Pending()

    assert memory.describe().actions[0].input_type == "amends.v1.Rejected"
    assert await result_of(memory, try_request(pb.Rejected(reason="X")), pb.Pending) == pb.Pending()


async def test_a_handler_knows_its_call(memory: Participant) -> None:
    seen: list[Context] = []

    @memory.action(name="act")
    def act(order: Json, ctx: Context) -> int:
        seen.append(ctx)
        assert ctx.remaining is not None
        assert 0 < ctx.remaining <= 5
        return ctx.result("before", int) + 1

    async with memory:
        request = try_request(results={"before": pack(41)})
        response = await memory.handle_try(request, timeout=5)
    assert unpack(response.succeeded.result, int) == 42
    (ctx,) = seen
    assert (ctx.saga_id, ctx.step, ctx.attempt, ctx.action, ctx.definition) == ("s1", "a", 1, "act", "order")
    assert repr(ctx) == "<Context s1/a action=act attempt=1>"


@pytest.mark.parametrize("results", [{}, {"before": pack("text")}], ids=["missing", "another type"])
async def test_a_result_that_does_not_fit_is_an_invalid_argument(
    memory: Participant, results: dict[str, Any]
) -> None:
    @memory.action(name="act")
    def act(order: Json, ctx: Context) -> int:
        return ctx.result("before", int)

    async with memory:
        with pytest.raises(Fault) as failure:
            await memory.handle_try(try_request(results=results))
    assert failure.value.reason == "INVALID_INPUT"
    assert "before" in failure.value.message


async def test_the_memory_store_has_no_database(memory: Participant) -> None:
    @memory.action(name="act")
    def act(order: Json, ctx: Context) -> None:
        with pytest.raises(UsageError, match=r"no ctx\.db"):
            _ = ctx.db

    assert await result_of(memory, try_request(), None) is None


@pytest.mark.parametrize("value", ["text", None, {"x": "y" * (1 << 20)}], ids=["type", "none", "large"])
async def test_a_result_that_does_not_fit_its_annotation_fails_the_handler(
    memory: Participant, value: Any
) -> None:
    @memory.action(name="act")
    def act(order: Json, ctx: Context) -> Json:
        return value  # type: ignore[no-any-return]

    async with memory:
        with pytest.raises(Fault) as failure:
            await memory.handle_try(try_request())
    assert failure.value.reason == "HANDLER_FAILED"


class Odd(BaseException):
    """No Exception, and nothing of Python's own either."""


@pytest.mark.parametrize(
    "raised", [SystemExit(3), asyncio.CancelledError(), GeneratorExit(), Odd()], ids=repr
)
@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("store", ["memory:", "sqlite"])
async def test_whatever_a_handler_raises_fails_its_own_call_only(
    raised: BaseException, external: bool, store: str, db_path: Path
) -> None:
    shop = Participant("shop", store=f"sqlite:///{db_path}" if store == "sqlite" else store)

    @shop.action(name="act", external=external)
    def act(order: Json, ctx: Context) -> None:
        if ctx.saga_id == "odd":
            raise raised

    async with shop:
        for _ in range(2):
            with pytest.raises(Fault) as failure:
                await shop.handle_try(try_request(saga="odd"))
            assert failure.value.reason == "HANDLER_FAILED"
        assert (await shop.handle_try(try_request())).HasField("succeeded")


async def test_an_odd_exception_of_an_async_handler_is_its_failure(memory: Participant) -> None:
    @memory.action(name="act")
    async def act(order: Json, ctx: Context) -> None:
        raise Odd

    async with memory:
        for _ in range(2):
            with pytest.raises(Fault) as failure:
                await memory.handle_try(try_request())
            assert failure.value.reason == "HANDLER_FAILED"


@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_calls_are_failed_and_do_not_hang_when_the_gatherer_dies(
    ledger: Participant, action: str
) -> None:
    @ledger.action(name="killer")
    async def killer(order: Json, ctx: Context) -> None:
        for task in asyncio.all_tasks():
            if task.get_name() == "amends gatherer":
                task.cancel()
        await asyncio.sleep(0)

    requests = [try_request(action="killer"), try_request(saga="s2", action=action)]
    first = outcomes(await ledger.handle_batch(exchange_of(*requests)))
    assert "failed" in first[0]
    with pytest.raises(Fault) as failure:
        await ledger.handle_try(try_request(saga="s3", action=action))
    assert failure.value.reason == "STOPPING"


@pytest.fixture
async def waiting(db_path: Path) -> AsyncIterator[Participant]:
    participant = Participant("shop", store=f"sqlite:///{db_path}", schema=SCHEMA)

    @participant.action(name="act")
    async def act(order: Json, ctx: Context) -> None:
        assert isinstance(ctx.db, aiosqlite.Connection)
        await ctx.db.execute(INSERT, (ctx.saga_id, ctx.step, "act"))
        if order.get("hang"):
            await asyncio.Event().wait()
        if order.get("cancelled"):
            raise asyncio.CancelledError

    @participant.action(name="plain")
    def plain(order: Json, ctx: Context) -> None:
        assert isinstance(ctx.db, sqlite3.Connection)
        ctx.db.execute(INSERT, (ctx.saga_id, ctx.step, "plain"))

    async with participant:
        yield participant


async def test_an_async_handler_that_outlives_its_deadline_is_rolled_back(
    waiting: Participant, db_path: Path
) -> None:
    with pytest.raises(Fault) as failure:
        await waiting.handle_try(try_request({"hang": True}), timeout=0.05)
    assert failure.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert effects(db_path) == []


async def test_an_async_handler_cannot_hold_up_others_for_ever(
    waiting: Participant, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "ASYNC_HANDLER_SECONDS_MAX", 0.05)
    monkeypatch.setattr(batch, "ASYNC_BATCH_SECONDS", 0.0)
    response = await waiting.handle_batch(
        exchange_of(
            try_request({"hang": True}, saga="s1"),
            try_request(saga="s2"),
            try_request(saga="s3", action="plain"),
        )
    )
    found = outcomes(response)
    assert "deadline" in found.pop(0)
    assert found == {1: "succeeded", 2: "succeeded"}
    assert sorted(saga for saga, _, _ in effects(db_path)) == ["s2", "s3"]


async def test_a_cancellation_of_the_handlers_own_is_its_failure(waiting: Participant) -> None:
    with pytest.raises(Fault) as failure:
        await waiting.handle_try(try_request({"cancelled": True}))
    assert failure.value.reason == "HANDLER_FAILED"
    await waiting.handle_try(try_request())


async def no_annotations(order, ctx):  # type: ignore[no-untyped-def]
    pass


def no_context(order: Json) -> None:
    pass


def no_result(order: Json, ctx: Context):  # type: ignore[no-untyped-def]
    pass


def wrong_context(order: Json, ctx: str) -> None:
    pass


def wrong_input(order: set[str], ctx: Context) -> None:
    pass


def keyword(order: Json, *, ctx: Context) -> None:
    pass


def generator(order: Json, ctx: Context) -> Json:  # type: ignore[misc]
    yield


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (no_annotations, "parameter 'order' has no annotation"),
        (no_context, "takes 1 parameters"),
        (no_result, "result has no annotation"),
        (wrong_context, "'ctx' is not annotated as Context"),
        (wrong_input, "order: set"),
        (keyword, "'ctx' is not positional"),
        (generator, "is a generator"),
        (Order("x"), "is no function"),
    ],
)
def test_a_handler_of_another_form_is_refused_at_once(memory: Participant, handler: Any, says: str) -> None:
    with pytest.raises(HandlerError, match=says):
        memory.action(handler)


def act(order: Order, ctx: Context) -> Charge:
    return Charge(id="", amount=0)


def undo_other_input(order: Json, charge: Charge | None, ctx: Context) -> None:
    pass


def undo_other_result(order: Order, charge: Order | None, ctx: Context) -> None:
    pass


def undo_with_result(order: Order, charge: Charge | None, ctx: Context) -> str:
    return ""


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (undo_other_input, "but its action takes Order"),
        (undo_other_result, "but its action gives Charge"),
        (undo_with_result, "a compensation returns nothing"),
    ],
)
def test_a_compensation_must_fit_its_action(memory: Participant, handler: Any, says: str) -> None:
    with pytest.raises(HandlerError, match=says):
        memory.action(act).compensate(handler)


def test_a_name_is_taken_once(memory: Participant) -> None:
    memory.action(act)
    with pytest.raises(HandlerError, match="already"):
        memory.action(act)


def test_an_action_calls_its_handler_and_introduces_itself(memory: Participant) -> None:
    action = memory.action(name="charge", external=True)(act)
    assert repr(action) == "<Action charge external>"
    assert action(Order("a"), None) == Charge(id="", amount=0)  # type: ignore[arg-type]
    assert repr(memory) == "<Participant shop store=memory: actions=1 closed>"


@pytest.mark.parametrize("store", ["", "shop.db", "sqlite://", "sqlite:///", "postgres:///x"])
def test_a_store_of_another_form_is_refused(store: str) -> None:
    with pytest.raises(UsageError, match="must be"):
        Participant("shop", store=store)


def test_a_schema_without_a_database_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a database"):
        Participant("shop", store="memory:", schema=SCHEMA)


def test_a_retention_that_is_too_short_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 7 days"):
        Participant("shop", store="memory:", fence_retention=timedelta(days=6))


async def test_a_closed_participant_says_so(memory: Participant) -> None:
    with pytest.raises(UsageError, match="is not open"):
        await memory.handle_try(try_request())
    async with memory:
        with pytest.raises(UsageError, match="open already"):
            await memory.open()
