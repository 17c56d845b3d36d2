"""What the carrier has written down, in a file of its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

PATIENCE_S: Final = 30.0
"""How long a call waits for its turn at the ledger, of which others need milliseconds."""

_SCHEMA: Final = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")


class Entry(NamedTuple):
    """A booking, as it is in the table of bookings."""

    booking_id: str
    """Identifies it to the carrier."""
    tracking_code: str
    """Identifies the parcel to whoever waits for it."""
    order_ref: str
    """What the sender calls the order."""
    address: str
    """Where the parcel goes."""
    weight_grams: int
    """How much it weighs."""
    price_cents: int
    """What was charged, and refunded if it is cancelled."""
    cancelled: int
    """1 if it is cancelled, else 0."""


_COLUMNS: Final = ", ".join(Entry._fields)


class Ledger:
    """The ledger, in a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def entries(self) -> list[Entry]:
        """Returns all bookings, in the order they were made."""
        return [Entry(*row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM booking ORDER BY number")]

    def find(self, booking_id: str) -> Entry | None:
        """Returns a booking; None if there is none of this id."""
        query = f"SELECT {_COLUMNS} FROM booking WHERE booking_id = ?"
        row = self._db.execute(query, (booking_id,)).fetchone()
        return Entry(*row) if row else None

    def book(self, order_ref: str, address: str, weight_grams: int, price_cents: int) -> Entry:
        """Writes down a booking."""
        insert = "INSERT INTO booking (order_ref, address, weight_grams, price_cents) VALUES (?, ?, ?, ?)"
        values = (order_ref, address, weight_grams, price_cents)
        return Entry(*self._db.execute(f"{insert} RETURNING {_COLUMNS}", values).fetchone())

    def cancel(self, booking_id: str) -> None:
        """Writes down that a booking is cancelled."""
        self._db.execute("UPDATE booking SET cancelled = 1 WHERE booking_id = ?", (booking_id,))

    def answered(self, key: str) -> tuple[str, bytes, bytes] | None:
        """Returns the method, request and response that went with an idempotency key; None if it is new."""
        query = "SELECT method, request, response FROM answer WHERE idempotency_key = ?"
        found: tuple[str, bytes, bytes] | None = self._db.execute(query, (key,)).fetchone()
        return found

    def remember(self, key: str, method: str, request: bytes, response: bytes) -> None:
        """Writes down what was answered."""
        self._db.execute("INSERT INTO answer VALUES (?, ?, ?, ?)", (key, method, request, response))


def make(path: Path) -> None:
    """Makes the ledger where there is none. Raises sqlite3.Error if there can be none."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(_SCHEMA)


@contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    """Opens the ledger for one transaction, of which nothing stays if an error ends it."""
    with closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as db:
        # At once, so that of two calls with one key the second finds what the first has written.
        db.execute("BEGIN IMMEDIATE")
        yield Ledger(db)
        db.execute("COMMIT")


def read(path: Path) -> list[Entry]:
    """Reads the bookings of a carrier that may be running.

    Raises:
        FileNotFoundError: there is no such file.
        sqlite3.DatabaseError: it is no ledger of a carrier.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no ledger {path}")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return Ledger(db).entries()
