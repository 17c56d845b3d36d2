"""The tables of transitions, compared with tables written by hand: every pair, allowed and forbidden."""

from enum import Enum
from typing import TypeVar

import pytest

from amends_coordinator.core.transitions import (
    SETTLED,
    ForbiddenTransitionError,
    SagaMove,
    SagaState,
    StepMove,
    StepState,
    next_saga_state,
    next_step_state,
)

SAGAS = """
                COMPLETE   TURN_BACK     FINISH       PARK    RESUME_FORWARD  RESUME_BACKWARD
RUNNING         COMPLETED  COMPENSATING  .            PARKED  .               .
COMPLETED       .          .             .            .       .               .
COMPENSATING    .          .             COMPENSATED  PARKED  .               .
COMPENSATED     .          .             .            .       .               .
PARKED          .          .             .            .       RUNNING         COMPENSATING
"""

# Calls first, then what an operator may do.
STEPS = """
                READY   SUCCEED    REJECT    DOUBT    SKIP     UNDO          UNDONE       REFUSE
WAITING         TRYING  .          .         .        SKIPPED  .             .            .
TRYING          .       SUCCEEDED  REJECTED  UNKNOWN  .        .             .            .
SUCCEEDED       .       .          .         .        .        COMPENSATING  .            .
REJECTED        .       .          .         .        .        .             .            .
UNKNOWN         .       .          .         .        .        COMPENSATING  .            .
COMPENSATING    .       .          .         .        .        .             COMPENSATED  REFUSED
COMPENSATED     .       .          .         .        .        .             .            .
SKIPPED         .       .          .         .        .        .             .            .
REFUSED         .       .          .         .        .        .             .            .
"""

OPERATORS = """
                RETRY         RESOLVE_SUCCEEDED  RESOLVE_NO_EFFECT  RESOLVE_COMPENSATED
WAITING         .             .                  .                  .
TRYING          .             SUCCEEDED          REJECTED           .
SUCCEEDED       .             .                  .                  COMPENSATED
REJECTED        TRYING        SUCCEEDED          .                  .
UNKNOWN         TRYING        SUCCEEDED          REJECTED           COMPENSATED
COMPENSATING    .             .                  .                  COMPENSATED
COMPENSATED     .             .                  .                  .
SKIPPED         .             .                  .                  .
REFUSED         COMPENSATING  .                  .                  COMPENSATED
"""

State = TypeVar("State", bound=Enum)
Move = TypeVar("Move", bound=Enum)


def read(table: str, states: type[State], moves: type[Move]) -> list[tuple[State, Move, State | None]]:
    """Reads an aligned table; a point stands for a transition that there is not."""
    head, *rows = (line.split() for line in table.strip().splitlines())
    return [
        (states[name], moves[move], None if after == "." else states[after])
        for name, *afters in rows
        for move, after in zip(head, afters, strict=True)
    ]


SAGA_PAIRS = read(SAGAS, SagaState, SagaMove)
STEP_PAIRS = read(STEPS, StepState, StepMove) + read(OPERATORS, StepState, StepMove)


@pytest.mark.parametrize(("state", "move", "after"), SAGA_PAIRS)
def test_saga_transition(state: SagaState, move: SagaMove, after: SagaState | None) -> None:
    """A saga makes the moves of the table; any other fails and names both ends."""
    if after is not None:
        assert next_saga_state(state, move) is after
        return
    with pytest.raises(ForbiddenTransitionError, match=rf"{state.name} saga .* {move.name}\b"):
        next_saga_state(state, move)


@pytest.mark.parametrize(("state", "move", "after"), STEP_PAIRS)
def test_step_transition(state: StepState, move: StepMove, after: StepState | None) -> None:
    """A step makes the moves of the table; any other fails and names both ends."""
    if after is not None:
        assert next_step_state(state, move) is after
        return
    with pytest.raises(ForbiddenTransitionError, match=rf"{state.name} step .* {move.name}\b"):
        next_step_state(state, move)


def test_the_tables_above_are_complete() -> None:
    """Every pair of a state and a move is there, once."""
    assert {(state, move) for state, move, _ in SAGA_PAIRS} == {(s, m) for s in SagaState for m in SagaMove}
    assert {(state, move) for state, move, _ in STEP_PAIRS} == {(s, m) for s in StepState for m in StepMove}
    assert len(SAGA_PAIRS) == len(SagaState) * len(SagaMove)
    assert len(STEP_PAIRS) == len(StepState) * len(StepMove)


def test_a_saga_has_ended_where_nothing_can_move_it() -> None:
    """COMPLETED and COMPENSATED are final, and only they."""
    final = {
        state for state in SagaState if all(s is not state or after is None for s, _, after in SAGA_PAIRS)
    }
    assert final == {state for state in SagaState if state.ended}


def test_p3_a_settled_step_is_never_undone() -> None:
    """From a state without effect no call to undo it is made."""
    undone = {state for state, move, after in STEP_PAIRS if move is StepMove.UNDO and after is not None}
    assert undone == {StepState.SUCCEEDED, StepState.UNKNOWN}
    assert not undone & SETTLED
