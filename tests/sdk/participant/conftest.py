from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

import tests.sdk.participant.calls as calls
from amends import Context, Participant, Pending, Refused, Rejected
from amends.v1 import participant_pb2_grpc


class Shop:
    """A participant that counts what its handlers do, by the kind of store and of handler under test."""

    def __init__(self, participant: Participant) -> None:
        self.participant = participant
        self.tried: list[str] = []
        self.compensated: list[object] = []
        self.raises: Exception | None = None


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture(params=["sqlite", "memory"])
async def shop(request: pytest.FixtureRequest, db_path: Path) -> AsyncIterator[Shop]:
    store = f"sqlite:///{db_path}" if request.param == "sqlite" else "memory:"
    schema = calls.SCHEMA if request.param == "sqlite" else ""
    shop = Shop(Participant("shop", store=store, schema=schema))

    @shop.participant.action(name="act")
    def act(order: dict, ctx: Context) -> dict:  # type: ignore[type-arg]
        """Does it."""
        shop.tried.append(ctx.idempotency_key)
        if shop.raises:
            raise shop.raises
        return {"id": ctx.idempotency_key}

    @act.compensate
    def undo(order: dict, result: dict | None, ctx: Context) -> None:  # type: ignore[type-arg]
        if shop.raises:
            raise shop.raises
        shop.compensated.append(result)

    @shop.participant.action(name="final")
    def final(order: dict, ctx: Context) -> None:  # type: ignore[type-arg]
        pass

    async with shop.participant:
        yield shop


@pytest.fixture
async def ledger(db_path: Path) -> AsyncIterator[Participant]:
    """A participant on SQLite whose actions write one row each; `n` of the input decides how they end."""
    participant = Participant("ledger", store=f"sqlite:///{db_path}", schema=calls.SCHEMA)

    @participant.action(name="plain")
    def plain(order: dict, ctx: Context) -> dict:  # type: ignore[type-arg]
        ctx.db.execute(calls.INSERT, (ctx.saga_id, ctx.step, "plain"))
        end(order)
        return {"id": ctx.idempotency_key}

    @plain.compensate
    def undo_plain(order: dict, result: dict | None, ctx: Context) -> None:  # type: ignore[type-arg]
        ctx.db.execute(calls.INSERT, (ctx.saga_id, ctx.step, "undo"))
        end(order, compensating=True)

    @participant.action(name="waiting")
    async def waiting(order: dict, ctx: Context) -> dict:  # type: ignore[type-arg]
        await ctx.db.execute(calls.INSERT, (ctx.saga_id, ctx.step, "waiting"))
        end(order)
        return {"id": ctx.idempotency_key}

    @waiting.compensate
    async def undo_waiting(order: dict, result: dict | None, ctx: Context) -> None:  # type: ignore[type-arg]
        await ctx.db.execute(calls.INSERT, (ctx.saga_id, ctx.step, "undo"))
        end(order, compensating=True)

    async with participant:
        yield participant


def end(order: dict[str, object], *, compensating: bool = False) -> None:
    match order.get("end"):
        case "reject" if not compensating:
            raise Rejected("SHORT", "too little", {"missing": "3"})
        case "pending":
            raise Pending(retry_after=2.5)
        case "refuse" if compensating:
            raise Refused("GONE", "the parcel has left")
        case "fail":
            raise RuntimeError("the handler broke")


@pytest.fixture
async def stub(ledger: Participant) -> AsyncIterator[participant_pb2_grpc.ParticipantAsyncStub]:
    """A client of `ledger` over a real connection."""
    await ledger.stop()
    port = await ledger.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield participant_pb2_grpc.ParticipantStub(channel)  # type: ignore[misc]
