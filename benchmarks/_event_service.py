"""The choreographed services that are measured with: each reaction writes one business row.

``python -m benchmarks._event_service NAME FOLDER BUS`` serves one of `SERVICES`. A saga goes through all of
them: each reacts to the event of the one before.
"""

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from amends.choreography import EventContext, EventService, JsonEvent, Kind, Rejected
from benchmarks._work import REJECT

SCHEMA: Final = """
-- The business rows: one for each step that took effect. A row that was undone stays, and says so.
CREATE TABLE IF NOT EXISTS effects (
    saga_id TEXT NOT NULL,
    step TEXT NOT NULL,
    content TEXT NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (saga_id, step)
) STRICT, WITHOUT ROWID;
"""

SERVICES: Final = ("first", "second", "third")
"""The services of a saga, in their order."""

BEGUN: Final = "bench.v1.Begun"
"""The event that sagas begin with."""

REFUSED: Final = "bench.v1.Refused"
"""The event by which the last service turns content down."""

ENDED: Final = "bench.v1.ThirdDone"
"""The event of the last service."""


def database(folder: Path, name: str) -> Path:
    """The file in which a service of this name keeps its rows."""
    return folder / f"{name}.db"


def count_effects(folder: Path, name: str) -> tuple[int, int]:
    """Reads how many business rows stand, and how many were undone."""
    with closing(sqlite3.connect(f"file:{database(folder, name)}?mode=ro", uri=True)) as connection:
        standing, undone = connection.execute(
            "SELECT count(*) FILTER (WHERE NOT undone), count(*) FILTER (WHERE undone) FROM effects"
        ).fetchone()
    return standing, undone


def build(name: str, folder: Path, bus: str) -> EventService:
    """Makes a service."""
    service = EventService(name, bus=bus, store=f"sqlite:///{database(folder, name)}", schema=SCHEMA)
    place = SERVICES.index(name)
    done = f"bench.v1.{name.title()}Done"
    last = place == len(SERVICES) - 1
    before = BEGUN if place == 0 else f"bench.v1.{SERVICES[place - 1].title()}Done"

    @service.on(
        before,
        emits=[done],
        kind=Kind.PIVOT if last else Kind.COMPENSATABLE,
        fails_as=REFUSED if last else None,
    )
    def apply(event: dict[str, str], ctx: EventContext) -> JsonEvent:
        """Writes a row; turns it down at the last service where the content asks for it."""
        if last and event["content"].startswith(REJECT.decode()):
            raise Rejected("NOT_WANTED", "the content asks to be rejected")
        ctx.db.execute("INSERT INTO effects VALUES (?, ?, ?, 0)", (ctx.saga_id, ctx.step, event["content"]))
        return JsonEvent(done, event)

    if not last:

        @apply.compensate_on(REFUSED)
        def undo(event: dict[str, str], result: JsonEvent | None, ctx: EventContext) -> None:
            """Marks the row as undone."""
            ctx.db.execute(
                "UPDATE effects SET undone = 1 WHERE saga_id = ? AND step = ?", (ctx.saga_id, ctx.step)
            )

    return service


def main() -> None:
    """Serves as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks._event_service", description=__doc__)
    parser.add_argument("name", choices=SERVICES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("bus")
    given = parser.parse_args()
    build(given.name, given.folder, given.bus).serve()


if __name__ == "__main__":
    main()
