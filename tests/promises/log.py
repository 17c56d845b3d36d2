"""What the log of a saga must keep to, read from its facts alone: a second opinion that shares no code with
the fold."""

from collections.abc import Iterable
from dataclasses import replace

from amends_coordinator.contract.facts import decode_event, encode_fact
from amends_coordinator.core import facts as f
from amends_coordinator.core.definition import Definition, Kind
from amends_coordinator.core.fold import rebuild
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.stimuli import Call
from amends_coordinator.core.transitions import StepState
from amends_coordinator.core.values import Direction, Resolution


class Audit:
    """Reads the facts of one saga and objects where a promise is broken."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.needs = {step.name: set(step.needs) for step in definition.steps}
        self.needed_by = {
            name: {other for other, needs in self.needs.items() if name in needs} for name in self.needs
        }
        self.pivot = next((step.name for step in definition.steps if step.kind is Kind.PIVOT), "")
        self.trying = {name for name, needs in self.needs.items() if not needs}
        self.succeeded: set[str] = set()
        self.doubtful: set[str] = set()  # an attempt of theirs ended unknown
        self.rejected: set[str] = set()  # for certain
        self.unknown: set[str] = set()  # ended, and may have happened
        self.settled: set[str] = set()  # without effect, for certain
        self.compensated: set[str] = set()
        self.refused: set[str] = set()  # to be undone, and by nobody's doing yet
        self.turned_back = False
        self.ended = False

    def read(self, facts: Iterable[f.Fact]) -> None:
        """Follows facts in the order of the log."""
        for fact in facts:
            assert not self.ended, f"{fact} comes after the end"
            self._read_forward(fact)
            self._read_backward(fact)

    def _read_forward(self, fact: f.Fact) -> None:
        match fact:
            case f.StepSucceeded(step=step):
                self._try_ended(step, self.succeeded)
                self._open()
            case f.StepRejected(step=step):
                self._try_ended(step, self.unknown if step in self.doubtful else self.rejected)
                if step in self.rejected and self.turned_back:
                    self.settled.add(step)
            case f.StepGivenUp(step=step):
                self._try_ended(step, self.unknown)
            case f.AttemptFailed(step=step, direction=Direction.FORWARD):
                self.doubtful.add(step)
            case f.SagaRetried() if not self.turned_back:
                self.trying |= self.rejected | self.unknown
                self.rejected, self.unknown = set(), set()
            case f.SagaParked() if not self.turned_back:
                assert self.rejected | self.unknown, "P2: parked, and nothing was rejected"
                assert not self.trying, f"P12: parked, and {self.trying} is being tried"
            case f.StepResolved(step=step, resolution=resolution):
                self._resolved(step, resolution)
            case f.SagaCompleted():
                assert self.succeeded == self.needs.keys(), "P2: completed without every step"
                assert not self.compensated, "P3: completed, and something is compensated"
                self.ended = True

    def _read_backward(self, fact: f.Fact) -> None:
        match fact:
            case f.CompensationStarted():
                self._turn_back()
            case f.StepCompensated(step=step):
                self._may_compensate(step)
                self._undone(step)
            case f.CompensationRefused(step=step):
                self._may_compensate(step)
                self.refused.add(step)
            case f.SagaRetried() if self.turned_back:
                self.refused.clear()
            case f.SagaParked() if self.turned_back:
                assert self.refused, "P2: parked, and no compensation was refused"
                left = (self.succeeded | self.unknown) - self.settled - self.refused
                assert not [step for step in left if self.needed_by[step] <= self.settled], (
                    f"P12: parked, and one of {left} could be compensated"
                )
            case f.SagaCompensated():
                assert self.settled == self.needs.keys(), "P3: compensated, and an effect may be left"
                self.ended = True

    def permit(self, call: Call) -> None:
        """Objects to a call that the facts so far do not make legal (P6, P7)."""
        step = self.definition.steps[call.place].name
        if call.direction is Direction.BACKWARD:
            self._may_compensate(step)
            return
        assert not self.turned_back, f"P7: {step} is tried after the saga turned back"
        assert step in self.trying, f"P7: {step} is tried, and nothing in the log says so"
        assert self.needs[step] <= self.succeeded, f"P6: {step} is tried before all it needs"

    @property
    def may_turn_back(self) -> bool:
        """Whether nothing speaks against turning back: it goes forward, and its pivot was not even tried."""
        tried = self.trying | self.succeeded | self.rejected | self.unknown
        return not self.turned_back and not self.ended and self.pivot not in tried

    def _try_ended(self, step: str, into: set[str]) -> None:
        assert step in self.trying, f"the Try of {step} ended, which was not being tried"
        self.trying.remove(step)
        into.add(step)

    def _open(self) -> None:
        if self.turned_back:
            return
        waiting = self.needs.keys() - self.succeeded - self.rejected - self.unknown - self.settled
        self.trying |= {name for name in waiting if self.needs[name] <= self.succeeded}

    def _turn_back(self) -> None:
        assert not self.turned_back, "a saga turns back once"
        assert self.pivot not in self.succeeded, "P8: turned back after the pivot"
        self.turned_back = True
        self.settled |= self.needs.keys() - self.trying - self.succeeded - self.unknown

    def _may_compensate(self, step: str) -> None:
        assert self.turned_back, f"P7: {step} is compensated, and the saga did not turn back"
        assert not self.trying, f"P6: {step} is compensated while {self.trying} is being tried"
        assert step in self.succeeded | self.unknown, f"{step} is compensated without a reason"
        assert step not in self.settled, f"P4: {step} is compensated again"
        assert self.needed_by[step] <= self.settled, f"P6: {step} is compensated before what needs it"

    def _undone(self, step: str) -> None:
        self.settled.add(step)
        self.compensated.add(step)

    def _resolved(self, step: str, resolution: Resolution) -> None:
        for states in (self.trying, self.rejected, self.unknown):
            states.discard(step)
        self.doubtful.discard(step)
        self.refused.discard(step)
        if resolution is Resolution.SUCCEEDED:
            self.succeeded.add(step)
            self._open()
        elif resolution is Resolution.NO_EFFECT:
            self.rejected.add(step)
            self.settled |= {step} if self.turned_back else set()
        else:
            assert self.turned_back, f"{step} is resolved as compensated, and the saga did not turn back"
            self._undone(step)


def rebuilt(saga: Saga, events: Iterable[f.Event]) -> Saga:
    """The saga that a restart would make of the log, through the bytes that are stored."""
    stored = [(event.sequence, encode_fact(event.fact, event.time)) for event in events]
    return rebuild(saga.id, [decode_event(saga.id, sequence, data) for sequence, data in stored])


def check_state(saga: Saga, events: Iterable[f.Event]) -> None:
    """The live saga is the fold of its log, but for the calls in flight; its counts are true."""
    counts = [run.state for run in saga.runs]
    assert saga.trying == counts.count(StepState.TRYING)
    assert saga.compensating == counts.count(StepState.COMPENSATING)
    assert saga.succeeded == counts.count(StepState.SUCCEEDED)
    folded = rebuilt(saga, events)
    assert folded == replace(saga, runs=[replace(run, in_flight=False) for run in saga.runs])
    assert (folded.trying, folded.compensating, folded.succeeded) == (
        saga.trying,
        saga.compensating,
        saga.succeeded,
    )
