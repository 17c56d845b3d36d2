"""A participant process for these tests: it does, refuses, fails once, waits and cannot undo, as a step asks.

``python -m tests.observability.party ADDRESS FOLDER [unary]``; with ``unary`` it offers no Exchange.
"""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from amends import Context, Participant, Pending, Refused, Rejected
from amends._participant.service import ParticipantService
from amends.v1 import participant_pb2 as pb


def build(folder: Path) -> Participant:
    """Makes the participant. A file ``wait`` in the folder makes ``hold`` wait."""
    party = Participant("party", store=f"sqlite:///{folder}/party.db")
    failed: set[str] = set()

    @party.action
    def do(_input: Any, _ctx: Context) -> dict[str, Any]:
        return {}

    @party.action
    def fail_once(_input: Any, ctx: Context) -> dict[str, Any]:
        if ctx.saga_id not in failed:
            failed.add(ctx.saga_id)
            raise RuntimeError("the first time goes wrong")
        return {}

    @party.action
    def hold(_input: Any, _ctx: Context) -> dict[str, Any]:
        if (folder / "wait").exists():
            raise Pending(0.05)
        return {}

    @party.action
    def refuse(_input: Any, _ctx: Context) -> dict[str, Any]:
        raise Rejected("NOT_HERE", "this step is always rejected")

    @party.action
    def stay(_input: Any, _ctx: Context) -> dict[str, Any]:
        return {}

    def undo(_input: Any, _result: dict[str, Any] | None, _ctx: Context) -> None:
        pass

    def stay_on(_input: Any, _result: dict[str, Any] | None, _ctx: Context) -> None:
        raise Refused("NO_WAY_BACK", "this effect stays")

    for action in (do, fail_once, hold, refuse):
        action.compensate(undo)
    stay.compensate(stay_on)
    return party


async def _no_exchange(
    _self: ParticipantService, _requests: Any, context: Any
) -> AsyncIterator[pb.ExchangeResponse]:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "by unary calls only")
    yield pb.ExchangeResponse()


if __name__ == "__main__":
    address, folder = sys.argv[1:3]
    if sys.argv[3:] == ["unary"]:
        ParticipantService.Exchange = _no_exchange  # type: ignore[method-assign, assignment]
    build(Path(folder)).serve(address)
