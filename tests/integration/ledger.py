"""A participant process for the tests: every effect is a row, and no row is kept from being written twice.

Only the fence stands between a repeated delivery and a second row, so a count of rows shows what it is worth.
"""

import sys
from pathlib import Path
from typing import Any

import grpc

from amends import Context, Participant, Pending, Rejected
from amends._participant.service import ParticipantService

UNARY = "unary calls only"
"""A file of this name among the switches has the participant offer no Exchange from its next start on."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (saga TEXT NOT NULL, step TEXT NOT NULL, change INTEGER NOT NULL);
"""


def build(store: str, switches: Path, name: str = "ledger") -> Participant:
    """Makes the participant. A file in the folder ``switches`` named like a step makes that step wait."""
    ledger = Participant(name, store=store, schema=SCHEMA)

    def write(ctx: Context, change: int) -> None:
        ctx.db.execute("INSERT INTO effects VALUES (?, ?, ?)", (ctx.saga_id, ctx.step, change))

    @ledger.action
    def do(_input: dict[str, Any], ctx: Context) -> dict[str, Any]:
        if (switches / ctx.step).exists():
            raise Pending(0.05)
        write(ctx, +1)
        return {"step": ctx.step}

    @do.compensate
    def undo(_input: dict[str, Any], _result: dict[str, Any] | None, ctx: Context) -> None:
        write(ctx, -1)

    @ledger.action
    def refuse(_input: dict[str, Any], ctx: Context) -> dict[str, Any]:
        write(ctx, +1)  # undone with the rejection
        raise Rejected("NOT_HERE", "this step is always rejected")

    @refuse.compensate
    def never(_input: dict[str, Any], _result: dict[str, Any] | None, ctx: Context) -> None:
        write(ctx, -1)

    @ledger.action
    def bulky(_input: dict[str, Any], _ctx: Context) -> str:
        return "x" * 1_000_000

    @bulky.compensate
    def slim(_input: dict[str, Any], _result: str | None, _ctx: Context) -> None:
        pass

    return ledger


def offer_no_exchange() -> None:
    """Has the SDK answer Exchange as a participant written by hand may."""

    async def unimplemented(self: object, request_iterator: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "by unary calls only")
        yield  # which makes it a stream

    ParticipantService.Exchange = unimplemented  # type: ignore[method-assign] # the SDK has no such option


if __name__ == "__main__":
    address, store, folder, *name = sys.argv[1:]
    if Path(folder, UNARY).exists():
        offer_no_exchange()
    build(store, Path(folder), *name).serve(address)
