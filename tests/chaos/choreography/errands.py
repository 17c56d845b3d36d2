"""What customers want: sagas of either shape, and what shall happen to each step, drawn at random."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from amends.choreography import Kind
from tests.chaos.choreography.shapes import SHAPES, Step

ATTEMPTS_MAX: Final = 5
"""After how many failures an event is dead."""

BREAKS: Final = ("raise", "raise", "refuse", "stray")
"""How a handler is broken: it always fails, says that it cannot be done, or emits what it must not."""

Wishes = Mapping[str, Mapping[str, Any]]
"""What shall happen, by step; and, under the step's name with "undo " before it, to its compensation."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A saga that somebody wants."""

    saga_id: str
    """Identifies it."""
    shape: str
    """Names its steps."""
    wishes: Wishes
    """What shall happen to them."""


def draw(chance: Random, saga_id: str) -> Errand:
    """Draws a saga."""
    shape = chance.choice(list(SHAPES))
    misery = chance.choice((0.0, 0.0, 0.1, 0.3))  # how likely each kind of trouble is
    wishes: dict[str, Mapping[str, Any]] = {}
    for name, step in SHAPES[shape].items():
        wishes[name] = _draw_wishes(chance, misery if step.needs else 0.0)  # a call is not made again
        if step.kind is Kind.COMPENSATABLE:
            wishes[f"undo {name}"] = _draw_wishes(chance, misery)
    rejecting = [
        name for name, step in SHAPES[shape].items() if step.rejects and chance.random() < _odds(step)
    ]
    for name in rejecting:
        wishes[name] = {**wishes[name], "reject": True}
    if chance.random() < 0.05:
        _break(chance, wishes, [name for name, step in SHAPES[shape].items() if step.needs])
    return Errand(saga_id=saga_id, shape=shape, wishes=wishes)


def must_complete(errand: Errand) -> bool:
    """Whether nothing in it is to be rejected: then it completes, and else all of it is compensated."""
    return not any(wishes.get("reject") for wishes in errand.wishes.values())


def _odds(step: Step) -> float:
    """How likely a step says no. Where it is the entry, there is nothing to see but that."""
    return 0.12 if step.needs else 0.03


def _draw_wishes(chance: Random, misery: float) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    if chance.random() < misery:
        wishes["fail"] = chance.randint(1, ATTEMPTS_MAX - 2)  # as often, and then no more
    if chance.random() < misery / 2:
        wishes["pend"] = chance.uniform(0.2, 0.6)
    if chance.random() < misery / 2:
        wishes["seconds"] = chance.uniform(0.0, 0.05)  # everybody else of its service waits
    return wishes


def _break(chance: Random, wishes: dict[str, Mapping[str, Any]], steps: list[str]) -> None:
    """Has a handler fail until it is mended. The entry is left out: its caller would be told."""
    broken = chance.choice([name for name in wishes if name.removeprefix("undo ") in steps])
    wishes[broken] = {**wishes[broken], "break": chance.choice(BREAKS)}


def broken_at(errand: Errand) -> str | None:
    """The service of which a handler is broken; None for none."""
    for name, wishes in errand.wishes.items():
        if "break" in wishes:
            return SHAPES[errand.shape][name.removeprefix("undo ")].service
    return None
