"""A saga and its steps, as they stand. Changed only by the fold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from amends_coordinator.core.definition import Definition, Kind, Step
from amends_coordinator.core.transitions import SagaState, StepState
from amends_coordinator.core.values import Direction, Payload, Refusal, Rejection, TurnBack


@dataclass(frozen=True, slots=True)
class Failure:
    """How the last attempt of a step failed."""

    attempt: int
    direction: Direction
    code: int
    message: str
    time: float  # moment


@dataclass(slots=True)
class StepRun:
    """How far one step is."""

    state: StepState = StepState.WAITING
    waits_for: int = 0  # needed steps that have not succeeded yet
    attempts: int = 0  # attempts of Try that ended; being told 'pending' ends none
    compensation_attempts: int = 0  # attempts of Compensate that ended
    in_doubt: bool = False  # an earlier attempt ended unknown and may still land
    next_attempt_time: float | None = None  # when the attempt now due was or is to leave
    pending: bool = False  # the participant said so last; being asked again counts no attempt
    in_flight: bool = False  # a call is under way; the one thing the log does not know
    result: Payload | None = None
    rejection: Rejection | None = None
    refusal: Refusal | None = None
    last_failure: Failure | None = None

    @property
    def direction(self) -> Direction | None:
        """Which way the step is being called, if it is."""
        if self.state is StepState.TRYING:
            return Direction.FORWARD
        return Direction.BACKWARD if self.state is StepState.COMPENSATING else None

    @property
    def attempt(self) -> int:
        """The number of the attempt that is under way or due."""
        backward = self.state is StepState.COMPENSATING
        return 1 + (self.compensation_attempts if backward else self.attempts)


@dataclass(slots=True)
class Saga:
    """One run of a definition."""

    id: str
    definition: Definition
    input: Payload | None
    step_inputs: Mapping[str, Payload]
    labels: Mapping[str, str]
    create_time: float  # moment
    deadline: float | None  # moment after which it turns back
    traceparent: str
    definition_by_name: bool
    runs: list[StepRun]
    state: SagaState = SagaState.RUNNING
    sequence: int = 0  # of the last event
    end_time: float | None = None  # moment
    turn_back: TurnBack | None = None
    needs_attention: str = ""
    attention_step: str = ""  # whose success makes the attention needless
    cancel_requested: bool = False

    # Invariant: these count the runs in the state they name. They spare a scan at every step.
    trying: int = field(default=0, compare=False)
    compensating: int = field(default=0, compare=False)
    succeeded: int = field(default=0, compare=False)

    def step(self, place: int) -> Step:
        """The definition of the step at this place."""
        return self.definition.steps[place]

    def step_input(self, place: int) -> Payload | None:
        """The input that the step at this place is called with."""
        return self.step_inputs.get(self.definition.steps[place].name, self.input)

    @property
    def pivot_run(self) -> StepRun | None:
        """The run of the pivot, if the definition has one."""
        pivot = self.definition.pivot
        return None if pivot is None else self.runs[pivot]

    @property
    def past_pivot(self) -> bool:
        """Whether there is no way back any more."""
        run = self.pivot_run
        return run is not None and run.state is StepState.SUCCEEDED

    def after_pivot(self, place: int) -> bool:
        """Whether the step at this place only runs when there is no way back."""
        return self.definition.steps[place].kind is Kind.RETRIABLE

    def wake_time(self) -> float | None:
        """The next moment at which something is due that no reply brings about. None: nothing is."""
        due = [
            run.next_attempt_time
            for run in self.runs
            if run.next_attempt_time is not None and not run.in_flight and run.direction is not None
        ] if self.trying + self.compensating else []  # fmt: skip
        if self.deadline is not None and self.may_turn_back():
            due.append(self.deadline)
        return min(due, default=None)

    def waits(self) -> bool:
        """Whether nothing is due but what waits for its time: no call of it can be under way unseen."""
        if self.turn_back and self.trying:
            return False  # a saga that turns back gives up what waits, and awaits what is under way
        return all(run.next_attempt_time is not None for run in self.runs if run.direction is not None)

    def may_turn_back(self) -> bool:
        """Whether the saga could turn back right now: it goes forward, and its pivot was not even tried.

        While the pivot is being tried nobody knows whether there is a way back; its outcome decides.
        """
        if self.state is not SagaState.RUNNING:
            return False
        run = self.pivot_run
        return run is None or run.state is StepState.WAITING
