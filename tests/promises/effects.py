"""What participants did about a saga, held against how the saga ended (P3, P4).

Tests keep ledgers without any constraint that could hide a fault: a line for every time an effect was
applied, and one for every time it was undone.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

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


def broken_promises(
    saga: Saga, effects: Mapping[str, Effect], excused: Collection[str] = ()
) -> Iterator[str]:
    """Tells which promises about effects a saga breaks, as it stands.

    Args:
        saga: as its durable log has it.
        effects: by step; a step that is not here had none.
        excused: steps of which an operator has stated what is true, which their effects then need not be.
    """
    for place, run in enumerate(saga.runs):
        step = saga.step(place)
        effect = effects.get(step.name, NO_EFFECT)
        if effect.applied > 1:
            yield f"P4: step {step.name!r} was applied {effect.applied} times"
        if effect.undone > effect.applied:
            yield f"P4: step {step.name!r} was undone {effect.undone} times, and applied {effect.applied}"
        if step.name in excused:
            continue
        if saga.state is SagaState.COMPLETED and effect.left != 1:
            yield f"P3: the saga completed, and {step.name!r} ({run.state.name}) has {effect.left} effects"
        if saga.state is SagaState.COMPENSATED and effect.left != 0 and not step.effect_free:
            yield f"P3: the saga was compensated, and {step.name!r} ({run.state.name}) has an effect"
