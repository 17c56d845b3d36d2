"""Sagas in memory, and their turns on the way to the disk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.stimuli import Decision
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.store.interface import Append, StoreError
from amends_coordinator.timers import Timer


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who wants to know of a saga: once it is durable, or once it has ended or is parked."""

    told: Callable[[Saga], None]
    failed: Callable[[Exception], None]
    until_end: bool = False


@dataclass(slots=True, eq=False)
class Live:
    """A saga in memory, and what the runtime knows of it."""

    saga: Saga
    durable_sequence: int = 0  # of the last event that is on disk
    unwritten: int = 0  # turns that are not on disk yet
    id_taken: bool = False  # whether it could not be started, for the store holds a saga of this id
    row: tuple[SagaState, str] | None = None  # state and attention, as the store's row has them
    attempts: dict[int, Attempt] = field(default_factory=dict)  # in flight or waiting to be sent, by place
    timer: Timer | None = None
    waiters: list[Waiter] = field(default_factory=list)  # for the end
    watchers: list[Callable[[], None]] = field(default_factory=list)  # told whenever there is news

    @property
    def settled(self) -> bool:
        """Whether everything that the saga shows is on disk."""
        return self.durable_sequence == self.saga.sequence

    @property
    def observed(self) -> bool:
        """Whether somebody watches or waits."""
        return bool(self.watchers or self.waiters)

    def news(self) -> None:
        """Tells the watchers that there is something new to read, or that there never will be."""
        for watcher in self.watchers:
            watcher()


class TurnOwner(Protocol):
    """Who drives the sagas that turns are about."""

    def live(self, saga_id: str) -> Live | None:
        """Finds a saga in memory."""

    def turn_is_durable(self, turn: "Turn") -> None:
        """Carries a turn out."""

    def turn_has_failed(self, turn: "Turn", error: StoreError) -> None:
        """Gives a turn up."""


@dataclass(slots=True, eq=False)
class Turn:
    """A decision about a saga, on its way to the disk; an entry of the journal.

    ``decision`` must not be carried out before ``append`` is durable (P7).
    """

    owner: TurnOwner
    live: Live
    decision: Decision
    append: Append | None
    keep: bool
    waiter: Waiter | None
    weight: int  # bytes, about
    state: SagaState  # of the saga after this turn; it may have moved on since

    @property
    def wanted(self) -> bool:
        """Whether the saga is still ours to write (P9)."""
        return self.owner.live(self.live.saga.id) is self.live

    def done(self) -> None:
        """The facts are durable: now what they ask for may happen."""
        self.owner.turn_is_durable(self)

    def failed(self, error: StoreError) -> None:
        """The facts are not durable and never will be."""
        self.owner.turn_has_failed(self, error)


def saga_fields(saga: Saga) -> dict[str, str]:
    """What a log record says of a saga. Never a payload."""
    fields = {"saga_id": saga.id, "definition": saga.definition.name}
    _, _, rest = saga.traceparent.partition("-")
    if rest:
        fields["trace_id"] = rest.partition("-")[0]
    return fields
