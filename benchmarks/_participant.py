"""The participant that is measured with: every step writes one business row, behind the fence.

``python -m benchmarks._participant NAME FOLDER [--unary]`` serves it. Its handlers are plain functions, as
is right for handlers that only talk to their database.
"""

import argparse
import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

from amends import Context, Participant, Pending, Rejected
from amends.errors import Fault
from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc
from benchmarks import _tracing
from benchmarks._work import LAST_STEP, LATER_S, REJECT
from benchmarks._workspace import announce_and_wait

SCHEMA = """
-- The business rows: one for each step that took effect. A row that was undone stays, and says so.
CREATE TABLE IF NOT EXISTS effects (
    saga_id TEXT NOT NULL,
    step TEXT NOT NULL,
    content BLOB NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (saga_id, step)
) STRICT, WITHOUT ROWID;
"""


def database(folder: Path, name: str) -> Path:
    """The file in which a participant of this name keeps its rows."""
    return folder / f"{name}.db"


def count_effects(folder: Path, name: str) -> tuple[int, int]:
    """Reads how many business rows stand, and how many were undone."""
    with closing(sqlite3.connect(f"file:{database(folder, name)}?mode=ro", uri=True)) as connection:
        standing, undone = connection.execute(
            "SELECT count(*) FILTER (WHERE NOT undone), count(*) FILTER (WHERE undone) FROM effects"
        ).fetchone()
    return standing, undone


def build(name: str, folder: Path) -> Participant:
    """Makes the participant."""
    participant = Participant(name, store=f"sqlite:///{database(folder, name)}", schema=SCHEMA)

    @participant.action
    def apply(content: BytesValue, ctx: Context) -> BytesValue:
        """Writes a row; turns the last step down where the content asks for it."""
        if ctx.step == LAST_STEP and content.value.startswith(REJECT):
            raise Rejected("NOT_WANTED", "the content asks to be rejected")
        ctx.db.execute("INSERT INTO effects VALUES (?, ?, ?, 0)", (ctx.saga_id, ctx.step, content.value))
        return content

    @apply.compensate
    def undo(content: BytesValue, result: BytesValue | None, ctx: Context) -> None:
        """Marks the row as undone."""
        ctx.db.execute(
            "UPDATE effects SET undone = 1 WHERE saga_id = ? AND step = ?", (ctx.saga_id, ctx.step)
        )

    @participant.action
    def decide_later(content: BytesValue, ctx: Context) -> BytesValue:
        """Is not decided for as long as a benchmark takes."""
        raise Pending(LATER_S)

    @decide_later.compensate
    def forget(content: BytesValue, result: BytesValue | None, ctx: Context) -> None:
        """Has nothing to undo."""

    return participant


class UnaryService(participant_pb2_grpc.ParticipantServicer):
    """Serves a participant by Try and Compensate alone, as one written by hand may do."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant

    async def Try(self, request: pb.TryRequest, context: Any) -> pb.TryResponse:  # noqa: N802
        """Applies the effect of one step."""
        try:
            return await self._participant.handle_try(request, timeout=context.time_remaining())
        except Fault as fault:
            await context.abort(fault.code, str(fault))
            raise

    async def Compensate(  # noqa: N802
        self, request: pb.CompensateRequest, context: Any
    ) -> pb.CompensateResponse:
        """Undoes the effect of one step."""
        try:
            return await self._participant.handle_compensate(request, timeout=context.time_remaining())
        except Fault as fault:
            await context.abort(fault.code, str(fault))
            raise

    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:  # noqa: N802
        """Lists the actions."""
        return self._participant.describe()

    async def Exchange(  # noqa: N802
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        """Is not offered."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "by unary calls only")
        yield pb.ExchangeResponse()


async def _serve(name: str, folder: Path, *, unary: bool) -> None:
    participant = build(name, folder)
    with _tracing.exporting(name):
        if unary:
            await participant.open()
            server = grpc.aio.server()
            participant_pb2_grpc.add_ParticipantServicer_to_server(UnaryService(participant), server)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
        else:
            port = await participant.start("127.0.0.1:0")
        await announce_and_wait(name, f"127.0.0.1:{port}")
        if unary:
            await server.stop(0)
        await participant.stop(0)


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks._participant")
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--unary", action="store_true", help="offer no Exchange")
    options = parser.parse_args()
    asyncio.run(_serve(options.name, options.folder, unary=options.unary))


if __name__ == "__main__":
    main()
