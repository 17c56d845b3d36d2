"""Which state may follow which: two tables, for sagas and for steps.

The diagrams in docs/ are drawn from these tables. A transition that is not in its table is a mistake of
ours and fails loudly, naming both ends.
"""

from enum import Enum, IntEnum


class SagaState(IntEnum):
    """Where a saga is. Numbered as in the contracts."""

    RUNNING = 1
    COMPLETED = 2
    COMPENSATING = 3
    COMPENSATED = 4
    PARKED = 5

    @property
    def ended(self) -> bool:
        """Whether nothing will ever happen to the saga again."""
        return self is SagaState.COMPLETED or self is SagaState.COMPENSATED


class TrackedState(IntEnum):
    """Where a choreographed saga is, as far as its events tell. Numbered as in the contracts.

    No table says which may follow which: all of it is inferred, and an event that comes late may put anything
    right.
    """

    RUNNING = 1
    COMPLETED = 2
    COMPENSATING = 3
    COMPENSATED = 4
    STALLED = 6

    @property
    def ended(self) -> bool:
        """Whether nothing is expected to happen to the saga any more."""
        return self is TrackedState.COMPLETED or self is TrackedState.COMPENSATED


class StepState(IntEnum):
    """Where a step is. Numbered as in the contracts."""

    WAITING = 1
    TRYING = 2
    SUCCEEDED = 3
    REJECTED = 4
    UNKNOWN = 5
    COMPENSATING = 6
    COMPENSATED = 7
    SKIPPED = 8
    REFUSED = 9


class SagaMove(Enum):
    """What moves a saga on."""

    COMPLETE = "every step succeeded"
    TURN_BACK = "turns back"
    FINISH = "nothing left to undo"
    PARK = "needs an operator"
    RESUME_FORWARD = "operator, before a turn"
    RESUME_BACKWARD = "operator, after a turn"

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is ten times slower


class StepMove(Enum):
    """What moves a step on."""

    READY = "all it needs succeeded"
    SUCCEED = "succeeded"
    REJECT = "rejected"
    DOUBT = "rejected or given up, in doubt"
    SKIP = "saga turns back"
    UNDO = "its turn to be undone"
    UNDONE = "compensated"
    REFUSE = "refused"
    RETRY = "operator retries"
    RESOLVE_SUCCEEDED = "operator: it succeeded"
    RESOLVE_NO_EFFECT = "operator: no effect"
    RESOLVE_COMPENSATED = "operator: it is undone"

    __hash__ = object.__hash__


SAGA_TRANSITIONS = {
    (SagaState.RUNNING, SagaMove.COMPLETE): SagaState.COMPLETED,
    (SagaState.RUNNING, SagaMove.TURN_BACK): SagaState.COMPENSATING,
    (SagaState.RUNNING, SagaMove.PARK): SagaState.PARKED,
    (SagaState.COMPENSATING, SagaMove.FINISH): SagaState.COMPENSATED,
    (SagaState.COMPENSATING, SagaMove.PARK): SagaState.PARKED,
    (SagaState.PARKED, SagaMove.RESUME_FORWARD): SagaState.RUNNING,
    (SagaState.PARKED, SagaMove.RESUME_BACKWARD): SagaState.COMPENSATING,
}

STEP_TRANSITIONS = {
    (StepState.WAITING, StepMove.READY): StepState.TRYING,
    (StepState.WAITING, StepMove.SKIP): StepState.SKIPPED,
    (StepState.TRYING, StepMove.SUCCEED): StepState.SUCCEEDED,
    (StepState.TRYING, StepMove.REJECT): StepState.REJECTED,
    (StepState.TRYING, StepMove.DOUBT): StepState.UNKNOWN,
    (StepState.TRYING, StepMove.RESOLVE_SUCCEEDED): StepState.SUCCEEDED,
    (StepState.TRYING, StepMove.RESOLVE_NO_EFFECT): StepState.REJECTED,
    (StepState.REJECTED, StepMove.RETRY): StepState.TRYING,
    (StepState.REJECTED, StepMove.RESOLVE_SUCCEEDED): StepState.SUCCEEDED,
    (StepState.UNKNOWN, StepMove.RETRY): StepState.TRYING,
    (StepState.UNKNOWN, StepMove.RESOLVE_SUCCEEDED): StepState.SUCCEEDED,
    (StepState.UNKNOWN, StepMove.RESOLVE_NO_EFFECT): StepState.REJECTED,
    (StepState.UNKNOWN, StepMove.UNDO): StepState.COMPENSATING,
    (StepState.UNKNOWN, StepMove.RESOLVE_COMPENSATED): StepState.COMPENSATED,
    (StepState.SUCCEEDED, StepMove.UNDO): StepState.COMPENSATING,
    (StepState.SUCCEEDED, StepMove.RESOLVE_COMPENSATED): StepState.COMPENSATED,
    (StepState.COMPENSATING, StepMove.UNDONE): StepState.COMPENSATED,
    (StepState.COMPENSATING, StepMove.REFUSE): StepState.REFUSED,
    (StepState.COMPENSATING, StepMove.RESOLVE_COMPENSATED): StepState.COMPENSATED,
    (StepState.REFUSED, StepMove.RETRY): StepState.COMPENSATING,
    (StepState.REFUSED, StepMove.RESOLVE_COMPENSATED): StepState.COMPENSATED,
}

SETTLED = frozenset({StepState.REJECTED, StepState.COMPENSATED, StepState.SKIPPED})
"""States in which a step of a saga that turned back has, for certain, no effect."""


class ForbiddenTransitionError(AssertionError):
    """The machine tried something that is not in its tables; a mistake of ours, never of the world."""


def next_saga_state(state: SagaState, move: SagaMove) -> SagaState:
    """Looks a saga's next state up; raises ForbiddenTransitionError if there is none."""
    try:
        return SAGA_TRANSITIONS[state, move]
    except KeyError:
        raise ForbiddenTransitionError(f"a {state.name} saga cannot make the move {move.name}") from None


def next_step_state(state: StepState, move: StepMove) -> StepState:
    """Looks a step's next state up; raises ForbiddenTransitionError if there is none."""
    try:
        return STEP_TRANSITIONS[state, move]
    except KeyError:
        raise ForbiddenTransitionError(f"a {state.name} step cannot make the move {move.name}") from None
