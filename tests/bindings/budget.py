"""The other side of a trip: a participant with a fence, which says who pays.

``python -m tests.bindings.budget LISTEN STORE``
"""

import sys
from typing import Any

from google.protobuf import any_pb2
from google.type import money_pb2

from amends import Context, Participant, Rejected

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS approvals (saga TEXT NOT NULL, step TEXT NOT NULL, change INTEGER NOT NULL);"
)


def build(store: str) -> Participant:
    """Makes the participant. It keeps a row for every approval, and for every one that is withdrawn."""
    budget = Participant("budget", store=store, schema=SCHEMA)

    def write(ctx: Context, change: int) -> None:
        ctx.db.execute("INSERT INTO approvals VALUES (?, ?, ?)", (ctx.saga_id, ctx.step, change))

    @budget.action
    def approve(_trip: any_pb2.Any, ctx: Context) -> dict[str, Any]:
        write(ctx, +1)
        return {"cost_centre": "cc-7", "keys": 2}

    @approve.compensate
    def withdraw(_trip: any_pb2.Any, _approval: dict[str, Any] | None, ctx: Context) -> None:
        write(ctx, -1)

    @budget.action
    def count(_trip: any_pb2.Any, _ctx: Context) -> int:
        return 3

    @budget.action
    def estimate(_trip: any_pb2.Any, _ctx: Context) -> money_pb2.Money:
        return money_pb2.Money(currency_code="EUR", units=2**60)

    @budget.action
    def nothing(_trip: any_pb2.Any, _ctx: Context) -> None:
        pass

    @budget.action
    def veto(_trip: any_pb2.Any, _ctx: Context) -> None:
        raise Rejected("TOO_EXPENSIVE", "somebody looked at it again")

    @veto.compensate
    def shrug(_trip: any_pb2.Any, _veto: None, _ctx: Context) -> None:
        pass

    return budget


if __name__ == "__main__":
    listen, store = sys.argv[1:]
    build(store).serve(listen)
