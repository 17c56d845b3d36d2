"""What participants did about a saga, held against how the saga ended (P3, P4).

Tests keep ledgers without any constraint that could hide a fault: a line for every time an effect was
applied, and one for every time it was undone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from amends_coordinator.core.saga import Saga
from amends_coordinator.core.transitions import SagaState


@dataclass(slots=True)
class Effect:
    """How often the effect of one step was applied and undone."""

    applied: int = 0
    undone: int = 0

    @property
    def left(self) -> int:
        """How often it is there now."""
        return self.applied - self.undone


NO_EFFECT = Effect()


class Ended(NamedTuple):
    """How a step ended, by whoever keeps the record of its saga."""

    step: str
    state: str
    """In that record's words."""
    effect_free: bool


def broken_promises(
    saga: Saga, effects: Mapping[str, Effect], excused: Collection[str] = ()
) -> Iterator[str]:
    """Tells which promises about effects a saga breaks, as it stands.

    Args:
        saga: as its durable log has it.
        effects: by step; a step that is not here had none.
        excused: steps of which an operator has stated what is true, which their effects then need not be.
    """
    steps = [saga.step(place) for place in range(len(saga.runs))]
    ends = [
        Ended(step.name, run.state.name, step.effect_free) for step, run in zip(steps, saga.runs, strict=True)
    ]
    return broken_by_effects(saga.state, ends, effects, excused)


def broken_by_effects(
    state: SagaState, ends: Iterable[Ended], effects: Mapping[str, Effect], excused: Collection[str] = ()
) -> Iterator[str]:
    """Tells the same of a saga with a record of whatever kind, which came to this state."""
    for step, ended, effect_free in ends:
        effect = effects.get(step, NO_EFFECT)
        if effect.applied > 1:
            yield f"P4: step {step!r} was applied {effect.applied} times"
        if effect.undone > effect.applied:
            yield f"P4: step {step!r} was undone {effect.undone} times, and applied {effect.applied}"
        if step in excused:
            continue
        if state is SagaState.COMPLETED and effect.left != 1:
            yield f"P3: the saga completed, and {step!r} ({ended}) has {effect.left} effects"
        if state is SagaState.COMPENSATED and effect.left != 0 and not effect_free:
            yield f"P3: the saga was compensated, and {step!r} ({ended}) has an effect"
