"""Actions whose effect lies outside the database: intent first, then the effect, then its record."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from amends import Context, Fault, Participant, Pending, Rejected, UsageError
from tests.sdk.participant.calls import compensate_request, fence_rows, try_request

Json = dict  # type: ignore[type-arg]

PROGRAM = """
import asyncio, sys, time
from tests.sdk.participant.calls import try_request
from amends import Context, Participant
shop = Participant("shop", store=sys.argv[1])
@shop.action(external=True)
def act(order: dict, ctx: Context) -> dict:
    print("at work", flush=True)
    time.sleep(60)
    return {}
async def main():
    async with shop:
        await shop.handle_try(try_request())
asyncio.run(main())
"""


class Provider:
    """The outside: does each key's deed once, as providers do that take idempotency keys."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.undone: list[object] = []
        self.fails: list[Exception] = []
        self.entered = asyncio.Event()
        self.hold: asyncio.Event | None = None

    async def charge(self, key: str) -> dict[str, str]:
        self.calls.append(key)
        self.entered.set()
        if self.hold:
            await self.hold.wait()
        if self.fails:
            raise self.fails.pop()
        return {"id": key}


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def shop(provider: Provider, db_path: Path) -> AsyncIterator[Participant]:
    participant = Participant("shop", store=f"sqlite:///{db_path}")

    @participant.action(external=True)
    async def act(order: Json, ctx: Context) -> Json:
        return await provider.charge(ctx.idempotency_key)

    @act.compensate
    async def undo(order: Json, result: Json | None, ctx: Context) -> None:
        provider.undone.append(result)

    @participant.action(external=True)
    def plain(order: Json, ctx: Context) -> None:
        with pytest.raises(UsageError):
            _ = ctx.db

    async with participant:
        yield participant


async def test_the_intent_is_durable_while_the_handler_runs(
    shop: Participant, provider: Provider, db_path: Path
) -> None:
    provider.hold = asyncio.Event()
    call = asyncio.create_task(shop.handle_try(try_request()))
    await provider.entered.wait()
    assert fence_rows(db_path) == {("s1", "a"): "INTENDED"}
    provider.hold.set()
    await call
    assert fence_rows(db_path) == {("s1", "a"): "TRIED"}


async def test_p4_a_repeated_external_try_gives_the_stored_result(
    shop: Participant, provider: Provider
) -> None:
    first = await shop.handle_try(try_request())
    assert await shop.handle_try(try_request()) == first
    assert provider.calls == ["s1/a"]


async def test_a_failed_handler_runs_again_with_the_same_key(shop: Participant, provider: Provider) -> None:
    provider.fails = [ConnectionError("lost")]
    with pytest.raises(Fault):
        await shop.handle_try(try_request())
    assert (await shop.handle_try(try_request())).WhichOneof("outcome") == "succeeded"
    assert provider.calls == ["s1/a", "s1/a"]


async def test_a_rejection_is_remembered(shop: Participant, provider: Provider, db_path: Path) -> None:
    provider.fails = [Rejected("DECLINED")]
    for _ in range(2):
        assert (await shop.handle_try(try_request())).rejected.reason == "DECLINED"
    assert provider.calls == ["s1/a"]
    assert fence_rows(db_path) == {("s1", "a"): "REJECTED"}


async def test_p3_a_rejection_hides_no_effect_of_an_earlier_attempt(
    shop: Participant, provider: Provider, db_path: Path
) -> None:
    """The first answer was lost: the rejection of the second attempt is repeated, and still undone."""
    provider.fails = [Rejected("CLOSED"), ConnectionError("the answer was lost")]
    with pytest.raises(Fault):
        await shop.handle_try(try_request())
    for _ in range(2):
        assert (await shop.handle_try(try_request())).rejected.reason == "CLOSED"
    assert provider.calls == ["s1/a", "s1/a"]
    assert fence_rows(db_path) == {("s1", "a"): "INTENDED"}
    for _ in range(2):
        assert (await shop.handle_compensate(compensate_request())).HasField("compensated")
    assert provider.undone == [None]
    assert (await shop.handle_try(try_request())).rejected.reason == "ALREADY_COMPENSATED"


async def test_a_pending_handler_stays_intended(shop: Participant, provider: Provider, db_path: Path) -> None:
    provider.fails = [Pending()]
    assert (await shop.handle_try(try_request())).WhichOneof("outcome") == "pending"
    assert fence_rows(db_path) == {("s1", "a"): "INTENDED"}


async def test_another_input_for_an_intended_step_is_refused(shop: Participant, provider: Provider) -> None:
    provider.fails = [Pending()]
    await shop.handle_try(try_request())
    with pytest.raises(Fault) as failure:
        await shop.handle_try(try_request({"n": 2}))
    assert failure.value.reason == "KEY_REUSED"


async def test_p5_a_compensate_of_an_intended_step_runs_without_a_result_and_bars_the_try(
    shop: Participant, provider: Provider
) -> None:
    provider.fails = [ConnectionError("lost")]
    with pytest.raises(Fault):
        await shop.handle_try(try_request())
    await shop.handle_compensate(compensate_request())
    assert provider.undone == [None]
    assert (await shop.handle_try(try_request())).rejected.reason == "ALREADY_COMPENSATED"


async def test_a_compensate_of_a_tried_step_runs_with_its_result_once(
    shop: Participant, provider: Provider
) -> None:
    await shop.handle_try(try_request())
    for _ in range(2):
        await shop.handle_compensate(compensate_request())
    assert provider.undone == [{"id": "s1/a"}]


async def test_p5_an_external_compensate_without_a_try_is_remembered(
    shop: Participant, provider: Provider
) -> None:
    await shop.handle_compensate(compensate_request())
    assert (await shop.handle_try(try_request())).rejected.reason == "ALREADY_COMPENSATED"
    assert (provider.calls, provider.undone) == ([], [])


async def test_a_second_call_for_a_key_at_work_is_told_to_come_back(
    shop: Participant, provider: Provider
) -> None:
    provider.hold = asyncio.Event()
    call = asyncio.create_task(shop.handle_try(try_request()))
    await provider.entered.wait()
    with pytest.raises(Fault) as failure:
        await shop.handle_compensate(compensate_request())
    assert (failure.value.code, failure.value.reason) == (grpc.StatusCode.UNAVAILABLE, "IN_PROGRESS")
    provider.hold.set()
    await call
    assert provider.calls == ["s1/a"]


async def test_a_handler_that_outlives_its_deadline_is_cancelled_and_stays_intended(
    shop: Participant, provider: Provider, db_path: Path
) -> None:
    provider.hold = asyncio.Event()
    with pytest.raises(Fault) as failure:
        await shop.handle_try(try_request(), timeout=0.05)
    assert failure.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert fence_rows(db_path) == {("s1", "a"): "INTENDED"}


async def test_a_plain_external_handler_runs_without_a_database(shop: Participant) -> None:
    assert (await shop.handle_try(try_request(action="plain"))).WhichOneof("outcome") == "succeeded"


async def test_a_result_that_cannot_be_recorded_leaves_the_intent(
    shop: Participant, provider: Provider, db_path: Path
) -> None:
    await shop._fence.run(lambda ledger: ledger.db.execute("PRAGMA busy_timeout = 0"))  # type: ignore[union-attr]
    provider.hold = asyncio.Event()
    call = asyncio.create_task(shop.handle_try(try_request()))
    await provider.entered.wait()
    other = sqlite3.connect(db_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    provider.hold.set()
    with pytest.raises(Fault) as failure:
        await call
    other.close()
    assert failure.value.code is grpc.StatusCode.UNAVAILABLE
    assert fence_rows(db_path) == {("s1", "a"): "INTENDED"}
    await shop.handle_try(try_request())
    assert provider.calls == ["s1/a", "s1/a"]


async def test_a_step_settled_by_another_process_meanwhile_keeps_its_settlement(
    shop: Participant, provider: Provider, db_path: Path
) -> None:
    provider.hold = asyncio.Event()
    call = asyncio.create_task(shop.handle_try(try_request()))
    await provider.entered.wait()
    other = sqlite3.connect(db_path, isolation_level=None)
    other.execute("UPDATE amends_fence SET state = 'COMPENSATED'")
    other.close()
    provider.hold.set()
    assert (await call).rejected.reason == "ALREADY_COMPENSATED"
    assert fence_rows(db_path) == {("s1", "a"): "COMPENSATED"}


async def test_a_process_killed_between_intent_and_record_runs_the_handler_again(
    shop: Participant, provider: Provider, db_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, f"sqlite:///{db_path}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"at work\n"
    process.kill()
    await process.wait()
    assert fence_rows(db_path) == {("s1", "a"): "INTENDED"}
    assert (await shop.handle_try(try_request())).WhichOneof("outcome") == "succeeded"
    assert provider.calls == ["s1/a"]
    assert fence_rows(db_path) == {("s1", "a"): "TRIED"}
