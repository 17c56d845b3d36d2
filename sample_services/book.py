"""What a service has written down: its ledger and its fence, read in one consistent look.

The three services keep ledgers of their own shape. A `Bookkeeping` says where one of them has its
balances and its movements, which is all that is needed to print it or to audit it.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Movement:
    """One effect in a ledger, or one undone."""

    saga: str
    """The saga on whose behalf it was made."""
    step: str
    """The step of the saga."""
    subject: str
    """What moved: a product, an account, a country."""
    amount: int
    """How much, in pieces, cents or parcels; its sign is the ledger's."""
    undoes: bool
    """Whether it undoes an effect."""


@dataclass(frozen=True, kw_only=True)
class Balance:
    """How much there was and is of one subject."""

    opening: int
    """Before the first movement."""
    closing: int
    """Now."""


@dataclass(frozen=True, kw_only=True)
class Book:
    """Everything one service has written down."""

    service: str
    """The name of the service."""
    balances: Mapping[str, Balance]
    """By subject."""
    movements: tuple[Movement, ...]
    """In the order they were made."""
    fence: Mapping[tuple[str, str], str]
    """The state of the fence, by saga and step."""


@dataclass(frozen=True, kw_only=True)
class Bookkeeping:
    """Where a service writes what."""

    service: str
    """The name of the service."""
    balances: str
    """Selects subject, opening and closing."""
    movements: str
    """Selects saga, step, subject and amount, in the order they were made."""
    effect_sign: int
    """The sign of an effect's amount, 1 or -1; what undoes one has the other."""
    unit: str
    """What the amounts count, for people."""

    def read(self, path: Path) -> Book:
        """Reads the file of a service that may be running.

        Raises:
            FileNotFoundError: there is no such file.
            sqlite3.DatabaseError: it is not a ledger of this service.
        """
        if not path.is_file():
            raise FileNotFoundError(f"there is no ledger {path}")
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("BEGIN")  # one snapshot for all three queries
            balances = db.execute(self.balances).fetchall()
            movements = db.execute(self.movements).fetchall()
            fence = db.execute("SELECT saga_id, step, state FROM amends_fence").fetchall()
        return Book(
            service=self.service,
            balances={subject: Balance(opening=was, closing=now) for subject, was, now in balances},
            movements=tuple(self._movement(*row) for row in movements),
            fence={(saga, step): state for saga, step, state in fence},
        )

    def _movement(self, saga: str, step: str, subject: str, amount: int) -> Movement:
        undoes = amount * self.effect_sign < 0
        return Movement(saga=saga, step=step, subject=subject, amount=amount, undoes=undoes)
