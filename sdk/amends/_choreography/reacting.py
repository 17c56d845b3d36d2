"""What becomes of an event: from its row in the inbox to the events that follow from it.

Everything of one event is one piece: its rows in inbox, fence and outbox, and what its handlers wrote, are
kept together or not at all. Where it cannot be dealt with, the event itself is kept, and later ones of its
saga wait behind it; all other sagas go on.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote

from amends._bus.interface import Message
from amends._choreography import outbox
from amends._choreography.cloudevent import (
    CloudEvent,
    MalformedEventError,
    read_message,
    reference_of,
    replay_of,
    saga_id_of,
)
from amends._choreography.disposition import Disposition
from amends._choreography.emission import Emission, EventRefusedError
from amends._choreography.inbox import Due, Inbox
from amends._choreography.problems import LETTER_ROOM, DeadError, DeferredError, dead_letter
from amends._choreography.reaction import Compensation, Reaction
from amends._choreography.remedies import Remedy, remedy_in
from amends._choreography.saga_id import saga_id_fault
from amends._choreography.step import Effects, Occasion, do, undo
from amends._choreography.types import family_of
from amends._choreography.work import Answer, Work
from amends._fence import Ledger
from amends.v1 import choreography_pb2

Steps: TypeAlias = Generator[Work, Answer, Disposition]

TRANSACTION_BROKEN: Final = "a handler broke the transaction"
"""What is said of an event whose handler ended what others were part of, or left it unfit to be committed."""

_log = logging.getLogger("amends.choreography")


class _Targets(NamedTuple):
    """What a service does about one type of event."""

    undone: tuple[tuple[Reaction[Any, Any], Compensation], ...]
    """What is compensated, the last declared first."""
    done: tuple[Reaction[Any, Any], ...]


class Reactor:
    """Deals with the events of one service, each in a transaction that it is given."""

    def __init__(
        self,
        service: str,
        reactions: Iterable[Reaction[Any, Any]],
        *,
        max_bytes: Callable[[], int],
        backoff: Callable[[int], float | None],
    ) -> None:
        """Makes a reactor.

        Args:
            service: names the service.
            reactions: what it does, in the order of their declaration.
            max_bytes: tells what a message may take at most.
            backoff: tells for the number of failures how many seconds to wait; None to give up.
        """
        self.service = service
        self.inbox = Inbox(service)
        self._max_bytes = max_bytes
        self._backoff = backoff
        self._targets = _targets_of(tuple(reactions))
        self.families: Final = frozenset(map(family_of, self._targets))

    def receive(self, ledger: Ledger, message: Message) -> Steps:
        """Deals with an event that a bus has delivered."""
        db, now = connection_of(ledger), time.time()
        saga_id = saga_id_of(message.headers)
        number = self.inbox.receive(db, reference_of(message), saga_id, now)
        if number is None:
            return Disposition.DUPLICATE
        if (remedy := remedy_in(message)) is not None:
            return self._take(db, remedy, saga_id, now)
        if self.inbox.is_blocked(db, number, saga_id) and not self._repeated_by(message):
            self.inbox.park(db, number, message, now)
            return Disposition.PARKED
        return (yield from self._attempt(ledger, number, message, failures=0))

    def retry(self, ledger: Ledger, due: Due) -> Steps:
        """Deals again with an event that was put aside."""
        db = connection_of(ledger)
        waiting = self.inbox.waiting(db, due)
        if waiting is None:
            return Disposition.DUPLICATE
        message = waiting.message
        disposition = yield from self._attempt(ledger, due.number, message, failures=waiting.attempts)
        if disposition is Disposition.DONE:
            self.inbox.finish(db, due.number, saga_id_of(message.headers), time.time())
        return disposition

    def put_aside(self, ledger: Ledger, message: Message) -> Disposition:
        """Keeps an event that broke the transaction in which it was dealt with."""
        db = connection_of(ledger)
        number = self.inbox.receive(db, reference_of(message), saga_id_of(message.headers), time.time())
        if number is None:
            return Disposition.DUPLICATE
        return self._put_aside(db, number, message, 0, self._broken_by(message))

    def put_aside_again(self, ledger: Ledger, due: Due) -> Disposition:
        """Keeps one that broke it when it was tried again."""
        db = connection_of(ledger)
        waiting = self.inbox.waiting(db, due)
        if waiting is None:
            return Disposition.DUPLICATE
        problem = self._broken_by(waiting.message)
        return self._put_aside(db, due.number, waiting.message, waiting.attempts, problem)

    def emission(self, saga_id: str, step: str, cause: str) -> Emission:
        """Says on whose behalf a step emits."""
        room = self._max_bytes() - LETTER_ROOM
        return Emission(service=self.service, saga_id=saga_id, step=step, cause=cause, max_bytes=room)

    def _attempt(self, ledger: Ledger, number: int, message: Message, *, failures: int) -> Steps:
        db, effects = connection_of(ledger), Effects()
        ledger.savepoint()
        try:
            event = self._read(message)
            if event is not None:
                yield from self._react(ledger, event, failures + 1, effects)
        except (DeferredError, DeadError) as problem:
            ledger.undo()
            return self._put_aside(db, number, message, failures, problem)
        ledger.release()
        now = time.time()
        keep(ledger, effects, now)
        self._finish_repeated(db, message, now)
        return Disposition.DONE

    def _read(self, message: Message) -> CloudEvent | None:
        """Reads an event; None for one that is not meant for this service. Raises DeadError."""
        if replay_of(message.headers) and not self._repeated_by(message):
            return None
        try:
            event = read_message(message)
        except MalformedEventError as error:
            raise DeadError("UNDECODABLE", str(error)) from error
        if event.type not in self._targets:
            self._check_version(event)
            return None
        fault = saga_id_fault(event.saga_id)
        if fault:
            raise DeadError("MISSING_SAGA_ID", f"the header ce-correlationid, which names the saga, {fault}")
        return event

    def _check_version(self, event: CloudEvent) -> None:
        family = family_of(event.type)
        if family in self.families:
            known = ", ".join(sorted(name for name in self._targets if family_of(name) == family))
            text = f"{self.service} does not know {event.type[:200]}; it knows {known}"
            raise DeadError("UNKNOWN_VERSION", text)

    def _repeated_by(self, message: Message) -> str:
        """The dead event of this service that a message stands for, which it must not wait behind."""
        consumer, _, reference = replay_of(message.headers).partition("/")
        return reference if consumer == self.service else ""

    def _finish_repeated(self, db: sqlite3.Connection, message: Message, now: float) -> None:
        """Says that a dead event waits no more: its replay was dealt with, or waits in its place."""
        repeated = self._repeated_by(message)
        if repeated:
            self.inbox.finish_dead(db, repeated, now)

    def _take(self, db: sqlite3.Connection, remedy: Remedy, saga_id: str, now: float) -> Disposition:
        """Does with a dead event what an operator has decided, if it is one of this service."""
        if remedy.consumer != self.service:
            return Disposition.DONE
        event_id = remedy.event_id
        fields = {"service": self.service, "saga_id": saga_id, "event": event_id}
        if isinstance(remedy, choreography_pb2.DeadLetterReplayed):
            if self.inbox.resume_dead(db, event_id, now):
                return Disposition.WAITING
        elif self.inbox.finish_dead(db, event_id, now, error=f"discarded: {remedy.reason}"):
            _log.warning("a dead event is discarded: %s", remedy.reason, extra=fields)
            return Disposition.DONE
        _log.warning("an operator names an event that is not dead here: %s", event_id, extra=fields)
        return Disposition.DONE

    def _broken_by(self, message: Message) -> DeferredError:
        """What is said of an event that broke its transaction; names the step if only one can have."""
        targets = self._targets.get(unquote(message.headers.get("ce-type", "")), _Targets((), ()))
        steps = {each.name for each in (*targets.done, *(each for each, _ in targets.undone))}
        return DeferredError(TRANSACTION_BROKEN, steps.pop() if len(steps) == 1 else "")

    def _react(
        self, ledger: Ledger, event: CloudEvent, attempt: int, effects: Effects
    ) -> Generator[Work, Answer, None]:
        targets = self._targets[event.type]
        occasion = Occasion(event.payload, event.reference, attempt)
        for reaction, compensation in targets.undone:
            emission = self.emission(event.saga_id, reaction.name, event.reference)
            yield from undo(ledger, reaction, compensation, occasion, emission, effects)
        for reaction in targets.done:
            emission = self.emission(event.saga_id, reaction.name, event.reference)
            yield from do(ledger, reaction, occasion, emission, effects)

    def _put_aside(
        self,
        db: sqlite3.Connection,
        number: int,
        message: Message,
        failures: int,
        problem: DeferredError | DeadError,
    ) -> Disposition:
        now = time.time()
        if isinstance(problem, DeferredError) and problem.after is not None:
            self.inbox.put_off(db, number, message, failures, str(problem), now + problem.after, now)
            return Disposition.WAITING
        attempts = failures + 1
        wait = self._backoff(attempts) if isinstance(problem, DeferredError) else None
        reference, saga_id = reference_of(message), saga_id_of(message.headers)
        fields = {"service": self.service, "saga_id": saga_id, "event": reference}
        if wait is not None:
            _log.warning("an event is tried again in %.3g s: %s", wait, problem, extra=fields)
            _log.debug("this is why", exc_info=problem, extra=fields)
            self.inbox.put_off(db, number, message, attempts, str(problem), now + wait, now)
            return Disposition.WAITING
        _log.error("an event is dead: %s", problem, exc_info=problem.__cause__, extra=fields)
        self.inbox.bury(db, number, message, attempts, str(problem), now)
        self._finish_repeated(db, message, now)
        letter = dead_letter(self.service, message, problem, attempts, now)
        outbox.enqueue(db, [self._telling(letter, saga_id)], now)
        return Disposition.DEAD

    def _telling(self, letter: choreography_pb2.DeadLetter, saga_id: str) -> Message:
        """The message that a letter is sent in; without the event, where that leaves no room for it."""
        emission = self.emission(saga_id, letter.step, letter.event_id)
        try:
            return replace(emission, max_bytes=self._max_bytes()).system_message(letter)
        except EventRefusedError:
            letter.ClearField("headers")
            letter.ClearField("data")
            # What is left is bounded piece by piece, and has to be told in any case.
            return replace(emission, max_bytes=sys.maxsize).system_message(letter)


def keep(ledger: Ledger, effects: Effects, now: float) -> None:
    """Writes what dealing with an event has brought forth."""
    for key, row in effects.rows.items():
        ledger.put(key, row)
    outbox.enqueue(connection_of(ledger), effects.messages, now)


def connection_of(ledger: Ledger) -> sqlite3.Connection:
    """The connection of a ledger that is in a database."""
    assert ledger.db is not None, "Invariant: a service's store is a database"
    return ledger.db


def _targets_of(reactions: tuple[Reaction[Any, Any], ...]) -> dict[str, _Targets]:
    names = {name for each in reactions for name in (each.on, *each.compensations) if name}
    return {
        name: _Targets(
            undone=tuple(
                (each, each.compensations[name]) for each in reversed(reactions) if name in each.compensations
            ),
            done=tuple(each for each in reactions if each.on == name),
        )
        for name in sorted(names)
    }
