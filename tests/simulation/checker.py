"""Watches a simulated world and objects where a promise is broken, the moment it is.

What is durable is read from the files, by connections of its own, after every piece of work on a disk; what
is said is read from the messages, as they leave. None of it is believed because the code says so.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc

from amends.v1 import coordinator_pb2, event_pb2, saga_pb2
from amends_coordinator.contract.facts import decode_event, event_to_proto
from amends_coordinator.core import facts as f
from amends_coordinator.core.transitions import SagaState, StepState
from amends_coordinator.core.values import Cause, Direction
from tests.promises.effects import NO_EFFECT, Effect, broken_promises
from tests.simulation.bindings import DEPOT
from tests.simulation.messages import Asked, calls, replies
from tests.simulation.process import Process
from tests.simulation.record import Record
from tests.simulation.rpc import Rpc
from tests.simulation.said import Said, wrong_request
from tests.simulation.story import Story, in_words

PUNCTUAL = 0.01
"""Seconds by which something may be late; a turn of the event loop takes a microsecond of virtual time."""

SETTLING = 5.0
"""Seconds after which a coordinator has recovered what was there when it began."""

ATTENTION = 10
"""Failures of a compensation after which somebody has to be told."""

Key = tuple[str, str]
"""A saga's id and the name of a step."""

_EFFECTS = {"TRIED": (1, 0), "COMPENSATED": (1, 1), "STORED": (1, 0), "TAKEN": (1, 1)}
"""How often a step was done and undone, for the states of a fence and for those of the depot's shelf; in all
others it never was."""

_UNSURE = ("INTENDED", "COMPENSATED")
"""States of a fence that do not say for certain what happened outside the database."""

_SAGA_ANSWERS = ("StartSaga", "GetSaga", "CancelSaga", "RetrySaga", "ResolveStep")


class Checker:
    """Sees everything that leaves a process or reaches a disk; see network.Observer."""

    def __init__(self, story: Story) -> None:
        """Watches a world whose story is told here."""
        self.sagas: dict[str, Record] = {}
        self.effects: defaultdict[Key, Effect] = defaultdict(Effect)
        self.said = Said()
        self.closed: set[Key] = set()  # of which somebody was told that they are compensated
        self.broken = ""  # the first promise that was broken, and how
        self.broken_saga = ""
        self.stop = asyncio.Event()
        self._story = story
        self._logs: dict[Path, sqlite3.Connection] = {}
        self._seen: defaultdict[Path, int] = defaultdict(int)

    def object(self, what: str, saga: str = "") -> None:
        """Notes a broken promise. Only the first counts: what follows may follow from it."""
        if not self.broken:
            self.broken, self.broken_saga = what, saga
            self._story.tell(f"BROKEN {what}", saga)
            self.stop.set()

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._logs.values():
            connection.close()
        self._logs.clear()

    # What is on disks

    def _new_rows(self, file: Path, query: str) -> list[Any]:
        """Reads what was committed since the last look."""
        connection = self._logs.get(file)
        if connection is None:
            if not file.exists():
                return []
            connection = self._logs[file] = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            rows = connection.execute(query, (self._seen[file],)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []
        if rows:
            self._seen[file] = rows[-1][0]
        return rows

    def forget_file(self, file: Path) -> None:
        """Notes that a file is about to be another one: what was not synced is lost."""
        connection = self._logs.pop(file, None)
        if connection is not None:
            connection.close()
        if self._seen[file]:
            self.object("P1: what had been written, and told, was lost when the power went")

    def coordinator_wrote(self, process: Process) -> None:
        """Reads what a coordinator has committed."""
        file = process.disk.file
        touched: dict[str, list[f.Fact]] = defaultdict(list)
        for _, saga_id, sequence, data in self._new_rows(file, _NEW_EVENTS):
            touched[saga_id].append(self._take_event(process, saga_id, sequence, data))
        for saga_id, facts in touched.items():
            if not self.broken:
                self._check_turn(self._logs[file], self.sagas[saga_id], facts)

    def _take_event(self, process: Process, saga_id: str, sequence: int, data: bytes) -> f.Fact:
        event = decode_event(saga_id, sequence, data)
        fact = event.fact
        self._story.tell(f"{process} wrote {sequence} {in_words(fact)}", saga_id)
        kept = self.sagas.get(saga_id)
        if isinstance(fact, f.SagaStarted) and kept is None:
            kept = self.sagas[saga_id] = Record.of(saga_id, event, fact)
        elif kept is None or sequence != len(kept.events) + 1:
            self.object(f"P9: event {sequence} was written, and the log does not end before it", saga_id)
            return fact
        else:
            self._check_event(kept, process, event)
        if kept.known.get(process.number, 0) < sequence - 1:
            self.object(f"P9: {process} wrote event {sequence} without having seen the one before", saga_id)
        kept.known[process.number] = kept.wrote[process.number] = sequence
        kept.writer = process
        kept.events.append(data)
        return fact

    def _check_event(self, kept: Record, process: Process, event: f.Event) -> None:
        self._check_punctual(kept, process, event)
        if isinstance(event.fact, f.CompensationStarted):
            self._check_pivot(kept)
        objection = self.said.objection(kept, process, event.fact)
        if objection:
            self.object(objection, kept.saga.id)
        try:
            kept.take(event)
        except (AssertionError, LookupError) as error:
            self.object(str(error) or repr(error), kept.saga.id)

    def coordinator_read(self, process: Process, work: Any, result: Any) -> None:
        """Notes which events a coordinator has seen: only what follows them may it write."""
        for found in result if isinstance(result, list) else ():
            match found:
                case f.Event():
                    self._note_known(process, work.args[1], found.sequence)
                case (str() as saga_id, [*_, f.Event() as last]):
                    self._note_known(process, saga_id, last.sequence)

    def _note_known(self, process: Process, saga_id: str, sequence: int) -> None:
        kept = self.sagas[saga_id]
        kept.known[process.number] = max(kept.known.get(process.number, 0), sequence)

    def _check_punctual(self, kept: Record, process: Process, event: f.Event) -> None:
        deadline, fact = kept.saga.deadline, event.fact
        if deadline is None:
            return
        late = event.time > deadline + PUNCTUAL
        forward = isinstance(fact, f.StepSucceeded | f.AttemptPending | f.AttemptFailed)
        if late and forward and kept.audit.may_turn_back:
            self.object(f"P11: {in_words(fact)}, and the deadline had passed before", kept.saga.id)
        if not isinstance(fact, f.CompensationStarted) or fact.turn_back.cause is not Cause.DEADLINE_PASSED:
            return
        if event.time < deadline:
            self.object(
                f"P11: the deadline is taken for passed {deadline - event.time:.3f} s early", kept.saga.id
            )
        # One that has just begun, or whose saga another has, may come late to it.
        ready = process.born + SETTLING < deadline and not self._contested(kept, process)
        if late and ready and not process.disk.ailing:
            self.object(f"P11: the deadline is noticed {event.time - deadline:.3f} s late", kept.saga.id)

    def _contested(self, kept: Record, process: Process) -> bool:
        """Whether another coordinator is or was at work on a saga, though it should not be."""
        writer = kept.writer
        return process.lock_lost or (writer is not None and writer is not process and writer.lock_lost)

    def _check_pivot(self, kept: Record) -> None:
        pivot = kept.saga.definition.pivot
        name = "" if pivot is None else kept.saga.step(pivot).name
        if self._effect(kept.saga.id, name).applied and name not in kept.excused:
            self.object(f"P8: the saga turns back, and its pivot {name} has succeeded", kept.saga.id)

    def _check_turn(self, connection: sqlite3.Connection, kept: Record, facts: list[f.Fact]) -> None:
        saga = kept.saga
        state, attention, ended = connection.execute(_ROW, (saga.id,)).fetchone()
        if (SagaState(state), attention) != (saga.state, saga.needs_attention):
            self.object(f"the row shows {SagaState(state).name} {attention!r}, and the log {saga}", saga.id)
        if (ended is not None) != saga.state.ended:
            self.object("the row and the log disagree on whether the saga has ended", saga.id)
        if not attention and self._needs_somebody(kept):
            self.object("P12: a compensation fails, or the saga is parked, and nobody is told", saga.id)
        cancelled = any(isinstance(fact, f.CancelRequested) for fact in facts)
        if cancelled and kept.audit.may_turn_back:
            self.object("P2: a cancel is granted, and the saga does not turn back", saga.id)
        if saga.state.ended:
            self.check_effects(saga.id)

    def _needs_somebody(self, kept: Record) -> bool:
        saga = kept.saga
        for place, run in enumerate(saga.runs):
            seen = kept.retried.get(saga.step(place).name, 0)
            failing = run.compensation_attempts >= ATTENTION and run.compensation_attempts > seen
            if run.state is StepState.REFUSED or (run.state is StepState.COMPENSATING and failing):
                return not saga.state.ended
        return saga.state is SagaState.PARKED

    def check_effects(self, saga_id: str) -> None:
        """Holds what participants did about a saga against its log."""
        kept = self.sagas[saga_id]
        effects = {step.name: self._effect(saga_id, step.name) for step in kept.saga.definition.steps}
        for broken in broken_promises(kept.saga, effects, kept.excused):
            self.object(broken, saga_id)

    def check_all(self, fences: Mapping[str, Path]) -> None:
        """Holds everything against everything, once all is over."""
        for saga_id in self.sagas:
            self.check_effects(saga_id)
        known: dict[Key, tuple[str, str]] = {}
        for name, file in fences.items():
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as fence:
                for saga_id, step, *row in fence.execute(_SHELF if name == DEPOT else _FENCE):
                    known[saga_id, step] = tuple(row)
        for key in {**known, **self.effects}:
            self._check_fence(key, *known.get(key, ("none", "")))

    def _check_fence(self, key: Key, state: str, action: str) -> None:
        effect = self.effects.get(key, NO_EFFECT)
        expected = _EFFECTS.get(state, (0, 0))
        found = (effect.applied, effect.undone)
        if found == expected or (state in _UNSURE and action == "external"):
            return
        self.object(
            f"P4: the fence of {key[1]} says {state}, and it was done and undone {found} times", key[0]
        )

    def _effect(self, saga_id: str, step: str) -> Effect:
        return self.effects.get((saga_id, step), NO_EFFECT)

    def participant_wrote(self, process: Process) -> None:
        """Reads what a participant has committed."""
        for _, saga_id, step, what in self._new_rows(process.disk.file, _NEW_EFFECTS):
            self.effect_changed(process.node, saga_id, step, what)

    def effect_changed(self, node: str, saga_id: str, step: str, what: str) -> None:
        """Notes that an effect was applied or undone, for good."""
        self._story.tell(f"{node}: {step} is {what}", saga_id)
        effect, key, kept = self.effects[saga_id, step], (saga_id, step), self.sagas.get(saga_id)
        if kept is None:
            self.object(f"P7: {step} is {what}, and the saga is not in the log", saga_id)
            return
        place = kept.saga.definition.position[step]
        if what == "applied":
            effect.applied += 1
            if place == kept.saga.definition.pivot and kept.audit.turned_back and step not in kept.excused:
                self.object(f"P8: the pivot {step} took effect after the saga had turned back", saga_id)
            if key in self.closed:
                self.object(f"P5: {step} took effect after it was compensated", saga_id)
            self._check_order(kept, kept.saga.definition.needs[place], step, applied=True)
        else:
            effect.undone += 1
            self._check_order(kept, kept.saga.definition.dependents[place], step, applied=False)
        if effect.applied > 1 or effect.undone > effect.applied:
            self.object(f"P4: {step} was applied {effect.applied} and undone {effect.undone} times", saga_id)

    def _check_order(self, kept: Record, others: tuple[int, ...], step: str, *, applied: bool) -> None:
        for place in others:
            other = kept.saga.step(place)
            if other.name in kept.excused or other.effect_free:
                continue
            effect = self._effect(kept.saga.id, other.name)
            if applied and not effect.applied:
                self.object(f"P6: {step} took effect before {other.name}, which it needs", kept.saga.id)
            if not applied and effect.left:
                self.object(f"P6: {step} was undone before {other.name}, which needs it", kept.saga.id)

    # What is said

    def call_leaves(self, rpc: Rpc, data: bytes) -> None:
        """Checks that a call which leaves the coordinator is legal by what is durable."""
        for asked in calls(rpc, data).values():
            self._check_call(rpc.client, asked)

    def _check_call(self, process: Process, asked: Asked) -> None:
        self._story.tell(f"{process} calls {asked.word} {asked.attempt} of {asked.step}", asked.saga_id)
        self.said.call_left(process, asked)
        kept = self.sagas.get(asked.saga_id)
        if kept is None:
            self.object(f"P7: {asked.word} of {asked.step} leaves, and no start is on disk", asked.saga_id)
            return
        place = kept.saga.definition.position[asked.step]
        if self._contested(kept, process):
            # Legal by what it knew; the fences see to the rest.
            minds = kept.as_known_to(process)
            found = [mind.objection(place, asked.direction, asked.attempt) for mind in minds]
            objection = "" if "" in found else f"{found[-1] if found else 'P7: it has seen no event'}"
        else:
            objection = kept.objection(place, asked.direction, asked.attempt)
            if asked.method is not None and not objection:
                objection = wrong_request(kept, asked)
        if objection:
            self.object(f"{objection} ({asked.word} {asked.attempt} of {asked.step})", asked.saga_id)

    def call_arrives(self, rpc: Rpc, data: bytes) -> None:
        """Remembers what a participant is asked, to know what its answer is about."""
        rpc.notes.update(calls(rpc, data))

    def reply_leaves(self, rpc: Rpc, data: bytes) -> None:
        """Checks that nobody is told what is not so."""
        service, _, method = rpc.path.removeprefix("/amends.v1.").partition("/")
        for number, outcome in replies(rpc.path, data):
            asked = rpc.notes.get(number)
            if asked is not None:
                self._check_answer(rpc, asked, outcome, data)
        if service != "Coordinator":
            return
        if method in _SAGA_ANSWERS:
            saga = saga_pb2.Saga.FromString(data)
            self._check_told(rpc, saga.id, saga.sequence)
        elif method == "WatchSaga":
            event = event_pb2.Event.FromString(data)
            self._check_told(rpc, event.saga_id, event.sequence)
            self._check_same(event)
        elif method == "StartSagas":
            for result in coordinator_pb2.StartSagasResponse.FromString(data).results:
                if not result.HasField("error"):
                    self._check_told(rpc, result.saga_id, 1)

    def status_leaves(self, rpc: Rpc, code: grpc.StatusCode) -> None:
        """Takes down what a method says by a status: of the depot's codes, one says that nothing was done."""
        asked = rpc.notes.get(0)
        if asked is not None and asked.method is not None:
            not_done = "rejected" if asked.direction is Direction.FORWARD else "refused"
            outcome = not_done if code is grpc.StatusCode.FAILED_PRECONDITION else code.name
            self._check_answer(rpc, asked, outcome, b"")

    def _check_answer(self, rpc: Rpc, asked: Asked, outcome: str, response: bytes) -> None:
        text = f"{rpc.server} answers {asked.word} {asked.attempt} of {asked.step}: {outcome}"
        self._story.tell(text, asked.saga_id)
        key = (asked.saga_id, asked.step)
        self.said.answered(asked, outcome, response)
        if outcome == "compensated":
            self.closed.add(key)
        if outcome == "succeeded" and key in self.closed:
            self.object(f"P5: {asked.step} answers that it succeeded, after it was compensated", key[0])

    def _check_same(self, event: event_pb2.Event) -> None:
        kept = self.sagas.get(event.saga_id)
        if kept is not None and event.sequence <= len(kept.events):
            data = kept.events[event.sequence - 1]
            stored = event_to_proto(event.saga_id, decode_event(event.saga_id, event.sequence, data))
            if event != stored:
                self.object(
                    f"P1: a watcher is told another event {event.sequence} than is on disk", event.saga_id
                )

    def _check_told(self, rpc: Rpc, saga_id: str, sequence: int) -> None:
        kept = self.sagas.get(saga_id)
        durable = 0 if kept is None else len(kept.events)
        self._story.tell(f"{rpc.server} tells of event {sequence} by {rpc.path[10:]}", saga_id)
        if sequence > durable:
            self.object(f"P1: a client is told of event {sequence}, and {durable} are on disk", saga_id)


_NEW_EVENTS = """
    SELECT events.rowid, sagas.id, events.sequence, events.data
    FROM events JOIN sagas ON sagas.key = events.saga_key
    WHERE events.rowid > ? ORDER BY events.rowid
"""

_ROW = "SELECT state, needs_attention, end_time FROM sagas WHERE id = ?"

_FENCE = "SELECT saga_id, step, state, action FROM amends_fence"

_SHELF = "SELECT saga, step, state, 'method' FROM shelf"

_NEW_EFFECTS = "SELECT id, saga, step, what FROM ledger WHERE id > ? ORDER BY id"
