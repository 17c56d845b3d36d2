"""Faults put into the code on purpose, one at a time, to see that the checks can fail.

Each is a piece of source that is replaced by another while its module is imported, in a process of its own;
nothing of it is in the code that ships. This imports nothing of Amends, for it has to come first.
"""

from typing import Final, NamedTuple


class Mutant(NamedTuple):
    """One fault."""

    name: str
    breaks: str
    """The promise, or promises, that it breaks first and foremost; what it trips over may be another."""
    module: str
    """The module that has it; or, with slashes, a file in a package."""
    old: str
    """The piece that is replaced. Occurs once."""
    new: str
    """What it is replaced by."""

    def mutated(self, source: str) -> str:
        """Puts the fault into a source. Raises ValueError where it does not fit any more."""
        found = source.count(self.old)
        if found != 1:
            raise ValueError(
                f"mutant {self.name!r}: its piece of {self.module} occurs {found} times, and has to occur "
                "once; the code has changed, and the mutant has to change with it"
            )
        return source.replace(self.old, self.new)


MUTANTS: Final = (
    Mutant(
        "act before the log is durable",
        "P7",
        "amends_coordinator.runtime.runtime",
        "            live.unwritten += 1\n            self.journal.write(turn)\n",
        "            live.unwritten += 1\n"
        "            for call in decision.calls:\n"
        "                self._call(live, call)\n"
        "            decision.calls.clear()\n"
        "            self.journal.write(turn)\n",
    ),
    Mutant(
        "answer StartSaga before the commit",
        "P1",
        "amends_coordinator.runtime.runtime",
        "        self._take_turn(live, decision, now, keep=False, waiter=waiter)\n"
        "\n"
        "    async def join_stored",
        "        self._take_turn(live, decision, now, keep=False)\n"
        "        waiter.told(saga)\n"
        "\n"
        "    async def join_stored",
    ),
    Mutant(
        "commit without a sync",
        "P1",
        "amends_coordinator.store.opening",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
    ),
    Mutant(
        "let a stale owner append",
        "P9",
        "amends_coordinator/store/sql/migrations/0001_begin.sql",
        "    INSERT INTO events (saga_key, sequence, data)",
        "    INSERT OR REPLACE INTO events (saga_key, sequence, data)",
    ),
    Mutant(
        "take a conflict for a commit",
        "P1, P9",
        "amends_coordinator.runtime.runtime",
        "        if isinstance(error, ConflictError):\n"
        "            self._conflict(turn)\n"
        "            return\n",
        "        if isinstance(error, ConflictError):\n"
        "            live.unwritten += 1\n"
        "            self.turn_is_durable(turn)\n"
        "            return\n",
    ),
    Mutant(
        "lose facts while the disk is full",
        "P2",
        "amends_coordinator.runtime.journal",
        "deque(entry for entry in everything if entry.keep)",
        "deque()",
    ),
    Mutant(
        "resume nothing after a restart",
        "P2",
        "amends_coordinator.runtime.keeper",
        "                    count += self._resume(saga_id, events, stimuli.Recovered())",
        "                    count += 1",
    ),
    Mutant(
        "forget what was in flight at a crash",
        "P2",
        "amends_coordinator.core.machine",
        "if run.direction is not None and not run.in_flight and (due or awaited):",
        "if False:",
    ),
    Mutant(
        "drop a saga's timer",
        "P2, P11",
        "amends_coordinator.runtime.runtime",
        "live.timer = None if when is None else self.timers.at(when, lambda: self._wake(live))",
        "live.timer = None",
    ),
    Mutant(
        "see a deadline only when something else happens",
        "P11",
        "amends_coordinator.core.saga",
        "            due.append(self.deadline)\n",
        "            pass\n",
    ),
    Mutant(
        "never wake a saga that sleeps",
        "P2",
        "amends_coordinator.runtime.keeper",
        "        await self._adopt_doubtful()\n        await self._wake()\n",
        "        await self._adopt_doubtful()\n",
    ),
    Mutant(
        "give up no step that waits when the saga turns back",
        "P2",
        "amends_coordinator.core.machine",
        "            else:\n                self.record(f.StepGivenUp(saga.step(place).name))\n\n\n# Replies",
        "\n\n\n# Replies",
    ),
    Mutant(
        "clear a rejected step although an earlier attempt is unknown",
        "P3",
        "amends_coordinator.core.fold",
        "_move(saga, place, StepMove.DOUBT if run.in_doubt else StepMove.REJECT)",
        "_move(saga, place, StepMove.REJECT)",
    ),
    Mutant(
        "take a step that was given up for a rejected one",
        "P3",
        "amends_coordinator.core.fold",
        "    _move(saga, place, StepMove.DOUBT)\n    return",
        "    _move(saga, place, StepMove.REJECT)\n    return",
    ),
    Mutant(
        "forget an unknown step",
        "P2",
        "amends_coordinator.core.fold",
        "saga.runs[place].state in (StepState.SUCCEEDED, StepState.UNKNOWN) and all(",
        "saga.runs[place].state is StepState.SUCCEEDED and all(",
    ),
    Mutant(
        "compensate in forward order",
        "P6",
        "amends_coordinator.core.fold",
        "saga.runs[other].state in SETTLED for other in dependents",
        "True for other in dependents",
    ),
    Mutant(
        "compensate while a sibling is in flight",
        "P6",
        "amends_coordinator.core.fold",
        "if saga.state is not SagaState.COMPENSATING or saga.trying:",
        "if saga.state is not SagaState.COMPENSATING:",
    ),
    Mutant(
        "try a step before all it needs",
        "P6",
        "amends_coordinator.core.fold",
        "if run.waits_for == 0 and run.state is StepState.WAITING:",
        "if run.state is StepState.WAITING:",
    ),
    Mutant(
        "give up a pivot in doubt",
        "P8",
        "amends_coordinator.core.machine",
        "(last and forward and exhausted and step.kind is Kind.COMPENSATABLE)",
        "(last and forward and exhausted)",
    ),
    Mutant(
        "compensate after the pivot",
        "P8",
        "amends_coordinator.core.machine",
        "    if not saga.after_pivot(reply.place):\n        turn.turn_back(",
        "    if True:\n        turn.turn_back(",
    ),
    Mutant(
        "turn back while the pivot is being tried",
        "P8",
        "amends_coordinator.core.saga",
        "return run is None or run.state is StepState.WAITING",
        "return run is None or run.state is not StepState.SUCCEEDED",
    ),
    Mutant(
        "believe a status about a pivot in doubt",
        "P8",
        "amends_coordinator.core.machine",
        "if step.kind is Kind.PIVOT and (run.in_doubt or run.pending) and not outcome.stated:",
        "if False:",
    ),
    Mutant(
        "forget to flag what is still stuck",
        "P12",
        "amends_coordinator.core.machine",
        "        if flagged and not isinstance(stimulus, RetryWished):\n",
        "        if False:\n",
    ),
    Mutant(
        "grant a cancel and go on",
        "P2",
        "amends_coordinator.core.machine",
        "    turn.record(f.CancelRequested(stimulus.reason))\n    if saga.may_turn_back():\n",
        "    turn.record(f.CancelRequested(stimulus.reason))\n    if False:\n",
    ),
    Mutant(
        "take a deadline for passed too early",
        "P11",
        "amends_coordinator.core.machine",
        "saga.deadline <= now and saga.may_turn_back()",
        "saga.deadline <= now + 3 and saga.may_turn_back()",
    ),
    Mutant(
        "forget the deadline where there is a pivot",
        "P11",
        "amends_coordinator.core.saga",
        "return run is None or run.state is StepState.WAITING",
        "return run is None",
    ),
    Mutant(
        "send a Try whose saga has turned back",
        "P7",
        "amends_coordinator.calls.attempt",
        "return self.direction is Direction.FORWARD and self.saga.turn_back is not None",
        "return False",
    ),
    Mutant(
        "take any status of a Compensate for a refusal",
        "P3",
        "amends_coordinator.calls.reading",
        "    if kind is OutcomeKind.UNKNOWN:\n",
        "    if kind is OutcomeKind.UNKNOWN and direction is Direction.FORWARD:\n",
    ),
    Mutant(
        "give another key to every attempt",
        "P4",
        "amends._participant.context",
        'return f"{self.saga_id}/{self.step}"',
        'return f"{self.saga_id}/{self.step}/{self.attempt}"',
    ),
    Mutant(
        "try a compensation once only",
        "P2",
        "amends_coordinator.core.machine",
        "outcome.code, outcome.message, None if gives_up else again",
        "outcome.code, outcome.message, None if gives_up or not forward else again",
    ),
    Mutant(
        "take a broken reply for a rejection",
        "P3",
        "amends_coordinator.calls.reading",
        '    return Unknown(Code.DATA_LOSS, f"the participant answered with {what}")',
        '    return Rejected(Rejection("BROKEN"))',
    ),
    Mutant(
        "take a lost connection for a rejection",
        "P3",
        "amends_coordinator.calls.reading",
        "        Code.UNIMPLEMENTED,\n    }",
        "        Code.UNIMPLEMENTED,\n        Code.UNAVAILABLE,\n    }",
    ),
    Mutant(
        "take another start for the same",
        "P10",
        "amends_coordinator.runtime.sameness",
        '    return "" if dict(saga.labels) == dict(fact.labels) else "set of labels"',
        '    return ""',
    ),
    Mutant(
        "bury no Compensate that comes first",
        "P5",
        "amends._participant.call",
        "    if deed is Deed.BURY:\n",
        "    if False:\n",
    ),
    Mutant(
        "run a Try over a tombstone",
        "P5",
        "amends._fence.decision",
        "    if row is None:\n        return ON_TRY[None]",
        "    if row is None or row.state is State.TOMBSTONE:\n        return ON_TRY[None]",
    ),
    Mutant(
        "run a Try again when it is repeated",
        "P4",
        "amends._fence.decision",
        "    State.TRIED: Deed.REPEAT,",
        "    State.TRIED: Deed.RUN,",
    ),
    Mutant(
        "undo again what is undone",
        "P4",
        "amends._fence.decision",
        "    State.COMPENSATED: Deed.CONFIRM,",
        "    State.COMPENSATED: Deed.UNDO,",
    ),
    Mutant(
        "delete a fence row on a duplicate",
        "P4",
        "amends._participant.call",
        "    if deed is Deed.REPEAT and row is not None:\n",
        "    if deed is Deed.REPEAT and row is not None:\n"
        '        ledger.db.execute("DELETE FROM amends_fence WHERE saga_id = ? AND step = ?", call.key)\n',
    ),
    Mutant(
        "keep the effect of a rejected Try",
        "P3",
        "amends._participant.performing",
        "    if has_effect(response):\n",
        "    if True:\n",
    ),
    Mutant(
        "intend nothing before an external effect",
        "P3",
        "amends._participant.outside",
        "if call.forward and prepared.row is None:",
        "if False:",
    ),
    Mutant(
        "tell nobody of a refused compensation",
        "P12",
        "amends_coordinator.core.machine",
        "    if turn.saga.compensating:\n        # The others",
        "    if False:\n        # The others",
    ),
    Mutant(
        "believe a status after pending",
        "P3",
        "amends_coordinator.core.machine",
        "    if run.pending and not outcome.stated:\n",
        "    if False:\n",
    ),
    Mutant(
        "call methods before the log is durable",
        "P7",
        "amends_coordinator.runtime.runtime",
        "            live.unwritten += 1\n            self.journal.write(turn)\n",
        "            live.unwritten += 1\n"
        "            early = [call for call in decision.calls if live.saga.step(call.place).try_method]\n"
        "            for call in early:\n"
        "                self._call(live, call)\n"
        "                decision.calls.remove(call)\n"
        "            self.journal.write(turn)\n",
    ),
    Mutant(
        "give another key to every call of a method",
        "P3, P4",
        "amends_coordinator.calls.methods",
        '    key = f"{saga_id}/{step}"\n',
        '    key = f"{saga_id}/{step}/{attempt.number}"\n',
    ),
    Mutant(
        "undo by a method under the key of its Try",
        "P3, P4",
        "amends_coordinator.calls.methods",
        'key if forward else f"{key}/compensate"',
        "key",
    ),
    Mutant(
        "take a method's call that was sent for one that was not",
        "P3",
        "amends_coordinator.calls.unary",
        "            outcome = read_status(attempt.direction, status_of(error), rules)\n",
        "            outcome = read_status(attempt.direction, status_of(error), rules)\n"
        "            if attempt.by_method and attempt.needless:\n"
        "                attempt.withdraw()\n",
    ),
    Mutant(
        "believe a method's reply that is no message",
        "P3",
        "amends_coordinator.calls.methods",
        '        return broken(f"a reply that {error}")\n',
        '        return read_response(direction, Payload("", response), None)\n',
    ),
    Mutant(
        "take a response that a rule calls pending for the end",
        "P3",
        "amends_coordinator.calls.reading",
        "        return Pending(limits.DEFAULT_PENDING)\n    return not_done(",
        "        return done(direction, result)\n    return not_done(",
    ),
    Mutant(
        "take the present descriptors instead of the saga's",
        "P3",
        "amends_coordinator.calls.methods",
        "            plan = plan_of(saga.definition)\n",
        "            from dataclasses import replace\n"
        '            present = vars(self).setdefault("present", saga.definition.descriptors)\n'
        "            plan = plan_of(replace(saga.definition, descriptors=present))\n",
    ),
    Mutant(
        "call for ever what no method undoes",
        "P2",
        "amends_coordinator.calls.methods",
        "        if call is None:",
        "        if False:",
    ),
    Mutant(
        "take a start with other descriptors for another",
        "P10",
        "amends_coordinator.runtime.sameness",
        "    return saga.definition == fact.definition or replace(",
        "    return saga.definition == fact.definition or False and replace(",
    ),
)

NAMES: Final = tuple(mutant.name for mutant in MUTANTS)


def named(name: str) -> Mutant:
    """Finds a mutant. Raises ValueError if there is none of this name."""
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    raise ValueError(f"there is no mutant {name!r}; there are: {', '.join(NAMES)}")
