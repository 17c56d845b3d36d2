"""A saga as its durable log has it, and who has seen how much of that."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from amends_coordinator.contract.facts import decode_event
from amends_coordinator.core import facts as f
from amends_coordinator.core import stimuli
from amends_coordinator.core.fold import apply, begin
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction
from tests.promises.log import Audit
from tests.simulation.process import Process


@dataclass(slots=True)
class Record:
    """What was read of a saga, event by event, and two readings of what it means."""

    saga: Saga  # by the fold
    audit: Audit  # by a second opinion
    events: list[bytes] = field(default_factory=list)
    writer: Process | None = None  # the coordinator that wrote last
    wrote: dict[int, int] = field(default_factory=dict)  # the last event that each coordinator wrote
    known: dict[int, int] = field(default_factory=dict)  # the last event that each has seen
    excused: set[str] = field(default_factory=set)  # steps of which an operator has stated what is true
    retried: dict[str, int] = field(default_factory=dict)  # failures of a step that an operator has seen

    @classmethod
    def of(cls, saga_id: str, event: f.Event, fact: f.SagaStarted) -> "Record":
        """Begins with the first event."""
        saga, _ = begin(saga_id, fact, event.time)
        return cls(saga, Audit(fact.definition))

    def take(self, event: f.Event) -> None:
        """Goes on with the next event. Raises AssertionError or LookupError where it must not follow."""
        match event.fact:
            case f.StepResolved(step=step):
                self.excused.add(step)
            case f.SagaRetried():
                for place, run in enumerate(self.saga.runs):
                    self.retried[self.saga.step(place).name] = run.compensation_attempts
        self.audit.read([event.fact])
        apply(self.saga, event.fact, event.time)

    def objection(self, place: int, direction: Direction, attempt: int) -> str:
        """Why a call must not leave, by what is recorded; empty if it may (P6, P7)."""
        run = self.saga.runs[place]
        if (run.direction, run.attempt) != (direction, attempt):
            return f"P7: it leaves, and by the log the step is {run.state.name}, attempt {run.attempt}"
        try:
            self.audit.permit(stimuli.Call(place, direction, attempt))
        except AssertionError as error:
            return str(error)
        return ""

    def as_known_to(self, process: Process) -> Iterator["Record"]:
        """What a coordinator may have in mind: the record since it wrote, up to what it has seen."""
        least, most = self.wrote.get(process.number, 1), self.known.get(process.number, 0)
        record: Record | None = None
        for sequence, data in enumerate(self.events[:most], start=1):
            event = decode_event(self.saga.id, sequence, data)
            if record is None:
                assert isinstance(event.fact, f.SagaStarted), "a log begins with the start"
                record = Record.of(self.saga.id, event, event.fact)
            else:
                record.take(event)
            if sequence >= least:
                yield record
