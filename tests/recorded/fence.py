"""The participant that is recorded: one saga for each state that a row of its fence can be in."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from amends import Context, Participant, Rejected
from amends._payload import pack
from amends.errors import Fault
from amends.v1 import participant_pb2 as pb
from tests.recorded.files import restore, to_text

SCHEMA: Final = "CREATE TABLE IF NOT EXISTS effects (saga TEXT NOT NULL, change INTEGER NOT NULL) STRICT;"
FOR_EVER: Final = timedelta(days=36_500)
"""A recording grows old, and must not be swept."""

Tale = tuple[str, list[str], str]

TALES: Final[Mapping[str, Tale]] = {
    "TRIED": ("do", [""], ""),
    "TRIED, without a result": ("do", ["nothing"], ""),
    "REJECTED": ("do", ["reject"], ""),
    "COMPENSATED": ("do", [""], "undo"),
    "TOMBSTONE": ("do", [], "undo"),
    "INTENDED": ("pay", ["fail"], ""),
    "INTENDED, and rejected since": ("pay", ["fail", "reject"], ""),
    "TRIED, outside the database": ("pay", [""], ""),
}
"""By the state that it leads to: the action, how each Try of it ends, and whether it is undone."""


def shop(path: Path, ends: list[str]) -> Participant:
    """The participant; each call of a handler ends as the next of the list says."""
    participant = Participant("shop", store=f"sqlite:///{path}", schema=SCHEMA, fence_retention=FOR_EVER)

    def end(ctx: Context) -> dict[str, Any] | None:
        match ends.pop(0) if ends else "":
            case "reject":
                raise Rejected("SHORT", "the account is short", {"missing": "3"})
            case "fail":
                raise RuntimeError("the connection was lost")
            case "nothing":
                return None
        return {"receipt": ctx.idempotency_key}

    @participant.action
    def do(_order: dict[str, Any], ctx: Context) -> dict[str, Any] | None:
        ctx.db.execute("INSERT INTO effects VALUES (?, 1)", (ctx.saga_id,))
        return end(ctx)

    @do.compensate
    def undo(_order: dict[str, Any], _result: dict[str, Any] | None, ctx: Context) -> None:
        ctx.db.execute("INSERT INTO effects VALUES (?, -1)", (ctx.saga_id,))

    @participant.action(external=True)
    def pay(_order: dict[str, Any], ctx: Context) -> dict[str, Any] | None:
        return end(ctx)

    @pay.compensate
    def refund(_order: dict[str, Any], _result: dict[str, Any] | None, _ctx: Context) -> None:
        pass

    return participant


def request_of(state: str, order: int = 1) -> dict[str, Any]:
    """The fields that a Try and a Compensate have in common."""
    saga_id = "".join(letter if letter.isalnum() else "-" for letter in state)
    return {"saga_id": saga_id, "step": "step", "action": TALES[state][0], "input": pack({"order": order})}


async def play(path: Path) -> None:
    """Leads a fence into every state."""
    ends = [end for _, tries, _ in TALES.values() for end in tries]
    async with shop(path, ends) as participant:
        for state, (_, tries, undo) in TALES.items():
            for _ in tries:
                with suppress(Fault):
                    await participant.handle_try(pb.TryRequest(**request_of(state)))
            if undo:
                await participant.handle_compensate(pb.CompensateRequest(**request_of(state)))


async def interrogate(file: Path) -> list[str]:
    """Asks a fence that was written down everything that it can be asked, each time anew."""
    lines = []
    for state in TALES:
        undo = pb.CompensateRequest(**request_of(state))
        undo_known = pb.CompensateRequest(**request_of(state), result=pack({"receipt": "of the coordinator"}))
        calls = {
            "Try": pb.TryRequest(**request_of(state)),
            "Try with another input": pb.TryRequest(**request_of(state, order=2)),
            "Compensate": undo,
            "Compensate with the result": undo_known,
        }
        lines += [f"{state}: {name}: {await _ask(file, call)}" for name, call in calls.items()]
    return lines


async def _ask(file: Path, call: pb.TryRequest | pb.CompensateRequest) -> str:
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "shop.db")
        restore(file, path)
        async with shop(path, []) as participant:
            try:
                if isinstance(call, pb.TryRequest):
                    answer: Any = await participant.handle_try(call)
                else:
                    answer = await participant.handle_compensate(call)
            except Fault as fault:
                return f"{fault.code.name} {fault.reason}"
    return to_text(answer, as_one_line=True)
