"""A participant process for the tests: every effect is a row, and no row is kept from being written twice.

Only the fence stands between a repeated delivery and a second row, so a count of rows shows what it is worth.
"""

import sys
from pathlib import Path
from typing import Any

from amends import Context, Participant, Pending, Rejected

SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (saga TEXT NOT NULL, step TEXT NOT NULL, change INTEGER NOT NULL);
"""


def build(store: str, switches: Path) -> Participant:
    """Makes the participant. A file in the folder ``switches`` named like a step makes that step wait."""
    ledger = Participant("ledger", store=store, schema=SCHEMA)

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

    return ledger


if __name__ == "__main__":
    address, store, folder = sys.argv[1:]
    build(store, Path(folder)).serve(address)
