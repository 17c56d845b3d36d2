"""What the runtime asks of a durable log, in words of sagas.

Two stores implement it, SQLite and memory, and one suite of tests runs against both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from amends_coordinator.core.definition import Definition
from amends_coordinator.core.facts import Event, Fact
from amends_coordinator.core.transitions import SagaState


class StoreError(Exception):
    """The root of what a store can raise.

    - StoreRefusedError      at opening: the operator must act
    - StoreUnavailableError  now, but not for ever: the caller may repeat
    - ConflictError          somebody else writes this saga's log: the caller must let go of it
    """


class StoreRefusedError(StoreError):
    """A store that cannot be used: corrupt, written by a newer version, owned by another coordinator, or not
    there to be written. The message says what to do."""


class StoreUnavailableError(StoreError):
    """The store cannot do this at the moment: the disk is full, read-only or failing. Nothing was written."""


class ConflictError(StoreError):
    """The log of a saga does not end where the writer believed (P9). Nothing was written for that saga."""

    def __init__(self, saga_id: str, sequence: int) -> None:
        super().__init__(f"the log of saga {saga_id!r} does not end right before event {sequence}")
        self.saga_id = saga_id
        self.sequence = sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaRow:
    """What can be known of a saga without reading its log."""

    id: str
    definition_name: str
    state: SagaState
    create_time: float  # moment
    labels: Mapping[str, str] = field(default_factory=dict)
    end_time: float | None = None  # moment
    needs_attention: str = ""


@dataclass(slots=True, kw_only=True)
class Append:
    """Facts to be added to the log of one saga, all or none."""

    saga_id: str
    first_sequence: int  # of the first of these facts; the log must end right before it
    time: float  # moment, the same for all
    facts: Sequence[Fact]
    row: SagaRow | None = None  # the saga's row from now on; None where it stays as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which sagas to list. Every condition must hold; the defaults hold for all."""

    states: Sequence[SagaState] = ()
    definition_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    created_from: float | None = None  # moment
    created_before: float | None = None  # moment
    needs_attention: bool = False
    stalled: bool = False  # with `states`: those that stalled as well, which only choreographed sagas do


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place after which a page begins: creation time and id of the last saga of the page before."""

    create_time: float
    saga_id: str


@dataclass(frozen=True, slots=True)
class Census:
    """How many unfinished sagas there are in each state, and when the oldest of them was created."""

    unfinished: Mapping[SagaState, int]
    oldest_create_time: float | None  # moment


class Store(Protocol):
    """A durable log of sagas, and the definitions that are registered by name."""

    async def append(self, batch: Sequence[Append]) -> list[ConflictError | None]:
        """Adds facts of many sagas in one transaction, durable when this returns.

        Appends of one saga take effect in the order of the batch. Returns, for each append, None or the
        conflict for which it was left out: its first event exists already, or the event before it does not,
        or an append of the same saga before it in the batch is left out. Those of other sagas are written.

        Raises:
            StoreUnavailableError: nothing of the batch was written.
        """
        ...

    async def probe(self) -> None:
        """Writes, durably, what changes nothing: whether there is room again can be found out only so.

        Raises:
            StoreUnavailableError: the store still cannot be written.
        """
        ...

    async def read_log(self, saga_id: str, after_sequence: int = 0) -> list[Event]:
        """Reads the events of a saga after this number, in order; empty if there are none.

        Raises:
            BrokenLogError: an event cannot be read.
        """
        ...

    async def read_unfinished(self, after_id: str, limit: int, now: float) -> list[tuple[str, list[Event]]]:
        """Reads the whole logs of a page of unfinished sagas, the oldest first; ``after_id`` is the last of
        the page before, or empty.

        Leaves out sagas that sleep beyond ``now``. A page shorter than ``limit`` is the last. Begins again
        if the saga ``after_id`` has been removed since. A log that cannot be read comes out empty, and the
        store has said so in its own log, for the others must be recovered all the same.
        """
        ...

    async def sleep(self, wake_times: Mapping[str, float]) -> None:
        """Remembers for each of these sagas the moment before which nothing is due, until its next append."""
        ...

    async def next_wake_time(self) -> float | None:
        """Tells when the first sleeping saga has to be woken; None where none sleeps."""
        ...

    async def take_due(self, now: float, limit: int) -> list[tuple[str, list[Event]]]:
        """Wakes sagas that slept until now, the earliest first, and reads their whole logs.

        They sleep no longer, durably: after a crash they are among the unfinished again. A log that cannot
        be read comes out as in read_unfinished.
        """
        ...

    async def get_row(self, saga_id: str) -> SagaRow | None:
        """Reads the row of a saga."""
        ...

    async def list_rows(self, condition: Filter, after: Cursor | None, limit: int) -> list[SagaRow]:
        """Lists a page of sagas, the newest first, ties broken by id, descending."""
        ...

    async def census(self) -> Census:
        """Counts the unfinished sagas."""
        ...

    async def remove_ended(self, before: float, limit: int) -> int:
        """Removes up to ``limit`` sagas that ended before a moment, with their logs, and counts them.

        Never touches an unfinished saga.
        """
        ...

    async def put_definition(self, definition: Definition, now: float) -> tuple[Definition, float]:
        """Stores a definition as the next version of its name, unless it equals the newest.

        Returns it with its version, and the time that version was registered.
        """
        ...

    async def get_definition(self, name: str, version: int = 0) -> tuple[Definition, float] | None:
        """Reads a definition and the time it was registered; version 0 is the newest."""
        ...

    async def list_definitions(self, after_name: str, limit: int) -> list[tuple[Definition, float]]:
        """Lists the newest version of each definition, by name, after a name."""
        ...

    async def close(self) -> None:
        """Gives the store up, so that another coordinator may open it."""
        ...
