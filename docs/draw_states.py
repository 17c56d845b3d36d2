"""Draws docs/states.md from the tables of transitions: ``python -m docs.draw_states``.

The page says nothing that the tables do not; tests/core/test_states_page.py holds the two together.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from amends_coordinator.core.transitions import (
    SAGA_TRANSITIONS,
    SETTLED,
    STEP_TRANSITIONS,
    SagaState,
    StepMove,
    StepState,
)

PAGE = Path(__file__).with_name("states.md")

_OPERATOR = {
    StepMove.RETRY,
    StepMove.RESOLVE_SUCCEEDED,
    StepMove.RESOLVE_NO_EFFECT,
    StepMove.RESOLVE_COMPENSATED,
}

_TEXT = """\
# States

This page is drawn from the tables in `coordinator/amends_coordinator/core/transitions.py` by
`python -m docs.draw_states`. What is not drawn cannot happen.

## A saga

{saga}

COMPLETED and COMPENSATED are final. A PARKED saga waits for an operator, and says why in `needs_attention`.

## A step

{step}

In a saga that turned back, {settled} say that the step has, for certain, no effect.
A step is compensated only once every step that needs it is in one of them.

## A step, in the hands of an operator

`amends retry` moves what is stuck, `amends resolve` states what is true. Which of these moves is open depends
on where the saga is; see `ResolveStep` in `protos/amends/v1/coordinator.proto`.

{operator}
"""


def page() -> str:
    """Writes the page."""
    by_itself = {pair: after for pair, after in STEP_TRANSITIONS.items() if pair[1] not in _OPERATOR}
    by_hand = {pair: after for pair, after in STEP_TRANSITIONS.items() if pair[1] in _OPERATOR}
    settled = [state.name for state in StepState if state in SETTLED]
    return _TEXT.format(
        saga=_diagram(SAGA_TRANSITIONS, SagaState.RUNNING, _final(SagaState, SAGA_TRANSITIONS)),
        step=_diagram(by_itself, StepState.WAITING, _final(StepState, STEP_TRANSITIONS)),
        operator=_diagram(by_hand, None, []),
        settled=", ".join(settled[:-1]) + " and " + settled[-1],
    )


def _final(states: Iterable[Enum], transitions: Mapping[tuple[Any, Any], Enum]) -> list[Enum]:
    """The states that no move leaves."""
    left = {before for before, _ in transitions}
    return [state for state in states if state not in left]


def _diagram(transitions: Mapping[tuple[Any, Any], Enum], first: Enum | None, final: Iterable[Enum]) -> str:
    """Draws one table as a Mermaid diagram; arrows between the same two states are one."""
    arrows: dict[tuple[Enum, Enum], list[str]] = {}
    for (before, move), after in transitions.items():
        # A colon would begin a label of its own.
        arrows.setdefault((before, after), []).append(move.value.replace(":", ","))
    lines = ["```mermaid", "stateDiagram-v2"]
    if first is not None:
        lines.append(f"    [*] --> {first.name}")
    lines += [
        f"    {before.name} --> {after.name}: {'<br>'.join(words)}"
        for (before, after), words in arrows.items()
    ]
    lines += [f"    {state.name} --> [*]" for state in final]
    return "\n".join([*lines, "```"])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
