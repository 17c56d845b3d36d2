"""Calls that come together share a transaction, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from amends import Context, Fault, Participant, Pending, Rejected
from amends._transactions import gatherer
from amends.errors import Answer
from tests.sdk.participant.calls import (
    INSERT,
    SCHEMA,
    compensate_request,
    effects,
    exchange_of,
    fence_rows,
    outcomes,
    try_request,
)

Json = dict  # type: ignore[type-arg]


async def statements_of(participant: Participant, traced: list[str]) -> None:
    """Has every statement of the participant's connection listed."""
    await participant._fence.run(lambda ledger: ledger.db.set_trace_callback(traced.append))  # type: ignore[union-attr]


@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_calls_that_arrive_together_share_one_commit(ledger: Participant, action: str) -> None:
    traced: list[str] = []
    await statements_of(ledger, traced)
    requests = [try_request(saga=f"s{n}", action=action) for n in range(20)]
    response = await ledger.handle_batch(exchange_of(*requests))
    assert set(outcomes(response).values()) == {"succeeded"}
    assert sum(statement.startswith("COMMIT") for statement in traced) == 1


async def test_unary_calls_that_arrive_together_share_one_commit(ledger: Participant) -> None:
    traced: list[str] = []
    await statements_of(ledger, traced)
    await asyncio.gather(*(ledger.handle_try(try_request(saga=f"s{n}", action="plain")) for n in range(20)))
    assert sum(statement.startswith("COMMIT") for statement in traced) == 1


@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_each_call_of_a_batch_ends_in_its_own_way(
    ledger: Participant, action: str, db_path: Path
) -> None:
    ends = ["", "reject", "pending", "fail", ""]
    requests = [try_request({"end": end}, saga=f"s{n}", action=action) for n, end in enumerate(ends)]
    response = await ledger.handle_batch(exchange_of(*requests))
    assert outcomes(response) == {
        0: "succeeded",
        1: "rejected",
        2: "pending",
        3: "the handler failed; the participant's log tells how",
        4: "succeeded",
    }
    assert effects(db_path) == [("s0", "a", action), ("s4", "a", action)]
    assert fence_rows(db_path) == {("s0", "a"): "TRIED", ("s1", "a"): "REJECTED", ("s4", "a"): "TRIED"}


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Rejected("SHORT", "x" * (2 << 20)),
        lambda: Rejected("SHORT", "\ud800"),
        lambda: Rejected("SHORT", "too little", {"missing": 3}),  # type: ignore[dict-item]
        lambda: Rejected("SHORT", ValueError("too little")),  # type: ignore[arg-type]
        lambda: Pending(retry_after=1e300),
    ],
    ids=["too large", "no Unicode", "a number", "no text", "aeons"],
)
async def test_an_answer_that_cannot_be_given_fails_its_own_call_only(
    ledger: Participant, answer: Callable[[], Answer]
) -> None:
    @ledger.action(name="odd")
    def odd(order: Json, ctx: Context) -> None:
        raise answer()

    @ledger.action(name="odd-waiting")
    async def odd_waiting(order: Json, ctx: Context) -> None:
        raise answer()

    actions = ["plain", "odd", "plain", "waiting", "odd-waiting", "waiting"]
    requests = [try_request(saga=f"s{n}", action=action) for n, action in enumerate(actions)]
    found = outcomes(await ledger.handle_batch(exchange_of(*requests)))
    assert {n for n, outcome in found.items() if outcome == "succeeded"} == {0, 2, 3, 5}
    assert all("the handler failed" in found[n] for n in (1, 4))


@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_p4_duplicates_in_one_batch_behave_as_if_in_sequence(
    ledger: Participant, action: str, db_path: Path
) -> None:
    forward, backward = try_request(action=action), compensate_request(action=action)
    response = await ledger.handle_batch(exchange_of(forward, forward, backward, backward, forward))
    assert outcomes(response) == {
        0: "succeeded",
        1: "succeeded",
        2: "compensated",
        3: "compensated",
        4: "rejected",
    }
    assert [deed for _, _, deed in effects(db_path)] == [action, "undo"]


async def test_plain_and_async_calls_of_one_batch_are_all_answered(ledger: Participant) -> None:
    requests = [try_request(saga=f"s{n}", action=("plain", "waiting")[n % 2]) for n in range(6)]
    response = await ledger.handle_batch(exchange_of(*requests))
    assert list(outcomes(response).values()) == ["succeeded"] * 6


@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_a_commit_that_fails_stores_nothing_and_fails_every_call(
    ledger: Participant, action: str, db_path: Path
) -> None:
    await ledger.handle_try(try_request(saga="s0", action=action))
    pages = await ledger._fence.run(lambda ledger: ledger.db.execute("PRAGMA page_count").fetchone()[0])  # type: ignore[union-attr]
    await ledger._fence.run(lambda ledger: ledger.db.execute(f"PRAGMA max_page_count = {pages}"))  # type: ignore[union-attr]
    requests = [try_request({"x": "y" * 2000}, saga=f"t{n}" + "x" * 100, action=action) for n in range(100)]
    response = await ledger.handle_batch(exchange_of(*requests))
    assert {reply.error.code for reply in response.replies} == {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
    assert fence_rows(db_path) == {("s0", "a"): "TRIED"}
    assert effects(db_path) == [("s0", "a", action)]
    await ledger._fence.run(lambda ledger: ledger.db.execute("PRAGMA max_page_count = 100000"))  # type: ignore[union-attr]
    response = await ledger.handle_batch(exchange_of(*requests))
    assert set(outcomes(response).values()) == {"succeeded"}


async def test_a_locked_database_is_unavailable_and_recovers(ledger: Participant, db_path: Path) -> None:
    await ledger._fence.run(lambda ledger: ledger.db.execute("PRAGMA busy_timeout = 0"))  # type: ignore[union-attr]
    other = sqlite3.connect(db_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Fault) as failure:
        await ledger.handle_try(try_request(action="plain"))
    assert failure.value.code is grpc.StatusCode.UNAVAILABLE
    other.execute("ROLLBACK")
    other.close()
    assert (await ledger.handle_try(try_request(action="plain"))).HasField("succeeded")


async def test_more_calls_than_may_wait_are_told_to_come_back(
    ledger: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherer, "WAITING_JOBS_MAX", 3)
    requests = [try_request(saga=f"s{n}", action="plain") for n in range(5)]
    found = list(outcomes(await ledger.handle_batch(exchange_of(*requests))).values())
    assert sorted(found) == ["succeeded"] * 3 + ["too many calls wait already"] * 2


@pytest.fixture
def rogue(db_path: Path) -> Participant:
    schema = SCHEMA + (
        ";CREATE TABLE IF NOT EXISTS parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE IF NOT EXISTS child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
    )
    participant = Participant("rogue", store=f"sqlite:///{db_path}", schema=schema)

    @participant.action(name="plain")
    def plain(order: Json, ctx: Context) -> None:
        ctx.db.execute(INSERT, (ctx.saga_id, ctx.step, "plain"))
        if "sql" in order:
            ctx.db.execute(order["sql"])

    @participant.action(name="waiting")
    async def waiting(order: Json, ctx: Context) -> None:
        await ctx.db.execute(INSERT, (ctx.saga_id, ctx.step, "waiting"))
        if "sql" in order:
            await ctx.db.execute(order["sql"])

    @participant.action(name="committing")
    def committing(order: Json, ctx: Context) -> None:
        ctx.db.execute(INSERT, (ctx.saga_id, ctx.step, "committing"))
        ctx.db.commit()

    return participant


@pytest.mark.parametrize("action", ["plain", "waiting"])
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR ROLLBACK INTO effects (id, saga, step, deed) VALUES (1, NULL, '', '')",
        "INSERT INTO child VALUES (7)",
        "RELEASE amends_call",
    ],
    ids=["rolls back", "violates a deferred constraint", "releases our savepoint"],
)
async def test_a_handler_that_breaks_the_transaction_fails_alone(
    rogue: Participant, action: str, sql: str, db_path: Path
) -> None:
    requests = [
        try_request({"sql": sql} if n == 2 else {"n": n}, saga=f"s{n}", action=action) for n in range(4)
    ]
    async with rogue:
        response = await rogue.handle_batch(exchange_of(*requests))
    found = outcomes(response)
    assert [found[n] for n in (0, 1, 3)] == ["succeeded"] * 3
    assert "log tells" in found[2]
    assert sorted(saga for saga, _, _ in effects(db_path)) == ["s0", "s1", "s3"]


@pytest.mark.parametrize("action", ["stubborn", "stubborn-waiting"])
async def test_p4_a_handler_that_writes_on_after_a_rollback_has_no_effect(
    rogue: Participant, action: str, db_path: Path
) -> None:
    """What it writes then would be committed at once, without a fence, and again by every attempt."""
    rolls_back = "INSERT OR ROLLBACK INTO effects (id, saga, step, deed) VALUES (1, NULL, '', '')"

    @rogue.action(name="stubborn")
    def stubborn(order: Json, ctx: Context) -> None:
        with suppress(sqlite3.IntegrityError):
            ctx.db.execute(rolls_back)
        ctx.db.execute(INSERT, (ctx.saga_id, ctx.step, "stubborn"))

    @rogue.action(name="stubborn-waiting")
    async def stubborn_waiting(order: Json, ctx: Context) -> None:
        with suppress(sqlite3.IntegrityError):
            await ctx.db.execute(rolls_back)
        await ctx.db.execute(INSERT, (ctx.saga_id, ctx.step, "stubborn"))

    kind = "waiting" if action == "stubborn-waiting" else "plain"
    requests = [try_request(saga=f"s{n}", action=action if n == 1 else kind) for n in range(3)]
    async with rogue:
        for _ in range(2):
            found = outcomes(await rogue.handle_batch(exchange_of(*requests)))
            assert [found[n] for n in (0, 2)] == ["succeeded"] * 2
            assert "log tells" in found[1]
    assert sorted(saga for saga, _, _ in effects(db_path)) == ["s0", "s2"]
    assert sorted(fence_rows(db_path)) == [("s0", "a"), ("s2", "a")]


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "END", "BEGIN", "ATTACH ':memory:' AS other"])
@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_a_handler_cannot_end_the_transaction(
    rogue: Participant, action: str, sql: str, db_path: Path
) -> None:
    async with rogue:
        for _ in range(2):
            with pytest.raises(Fault) as failure:
                await rogue.handle_try(try_request({"sql": sql}, action=action))
            assert failure.value.reason == "HANDLER_FAILED"
        with pytest.raises(Fault):
            await rogue.handle_try(try_request(action="committing"))
    assert effects(db_path) == []
    assert fence_rows(db_path) == {}


async def test_stopping_answers_what_was_taken_in(ledger: Participant, db_path: Path) -> None:
    waiting = [
        asyncio.create_task(ledger.handle_try(try_request(saga=f"s{n}", action="plain"))) for n in range(5)
    ]
    await asyncio.sleep(0)
    await ledger.stop()
    assert [task.result().WhichOneof("outcome") for task in waiting] == ["succeeded"] * 5
    assert len(effects(db_path)) == 5
