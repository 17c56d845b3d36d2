"""The form in which stores and sagas are kept: SQL, and the text of the messages that clients see."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from google.protobuf import text_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.store import SqliteStore

_LOG = "\n# Its log\n"


class Shown(NamedTuple):
    """What clients see of a saga."""

    saga: saga_pb2.Saga
    events: Sequence[event_pb2.Event]


def dump(database: Path, file: Path) -> None:
    """Writes a database down as SQL, with the two numbers by which it is recognised."""
    with closing(sqlite3.connect(database)) as connection:
        marks = [
            f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
            for name in ("application_id", "user_version")
        ]
        file.write_text("\n".join([*marks, *connection.iterdump()]) + "\n", "utf-8")


def restore(file: Path, database: Path) -> None:
    """Makes the database again that was written down."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(file.read_text("utf-8"))


@asynccontextmanager
async def restored(file: Path) -> AsyncIterator[SqliteStore]:
    """Opens the store that was written down, for as long as the block lasts."""
    with TemporaryDirectory() as scratch:
        restore(file, Path(scratch, "amends.db"))
        store = await SqliteStore.open(Path(scratch, "amends.db"))
        try:
            yield store
        finally:
            await store.close()


def to_text(message: Message, *, as_one_line: bool = False) -> str:
    """Says a message as text, with payloads as the bytes that they are, whatever is in them."""
    nothing_known = DescriptorPool()
    return text_format.MessageToString(
        message, as_utf8=True, as_one_line=as_one_line, descriptor_pool=nothing_known
    )


def write_saga(file: Path, tells: str, shown: Shown) -> None:
    """Writes down what a saga looked like: itself field by field, its log event by event."""
    log = [to_text(event, as_one_line=True) for event in shown.events]
    file.write_text("\n".join([f"# {tells}", to_text(shown.saga) + _LOG, *log, ""]), "utf-8")


def read_saga(file: Path) -> Shown:
    """Reads what a saga looked like."""
    saga, _, log = file.read_text("utf-8").partition(_LOG)
    events = [text_format.Parse(line, event_pb2.Event()) for line in log.splitlines() if line]
    return Shown(text_format.Parse(saga, saga_pb2.Saga()), events)
