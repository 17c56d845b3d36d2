"""The participant that is measured with: every step writes one business row, behind the fence.

``python -m benchmarks._participant NAME FOLDER [--unary]`` serves it. Its handlers are plain functions, as
is right for handlers that only talk to their database.
"""

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

from amends import Context, Participant, Pending, Rejected
from amends._participant.service import ParticipantService
from benchmarks._work import LAST_STEP, LATER_S, REJECT

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


def offer_no_exchange() -> None:
    """Has the SDK answer Exchange as a participant written by hand may."""

    async def unimplemented(self: object, request_iterator: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "by unary calls only")
        yield  # which makes it a stream

    ParticipantService.Exchange = unimplemented  # type: ignore[method-assign] # the SDK has no such option


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks._participant")
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--unary", action="store_true", help="offer no Exchange")
    options = parser.parse_args()
    if options.unary:
        offer_no_exchange()
    build(options.name, options.folder).serve("127.0.0.1:0", grace=1.0)


if __name__ == "__main__":
    main()
