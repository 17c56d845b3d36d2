"""What customers want: sagas of every shape, drawn at random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from amends import Definition, Kind, Retry, Step

ACTIONS: Final = ("plain", "plain", "coroutine", "outside")
"""The actions that every participant offers, as often as they are wanted."""

TIMEOUTS: Final = (0.3, 1.0)
"""Seconds that an attempt may take, between these: longer than a quick restart, or shorter."""

RETRY_FOREVER: Final = Retry(initial_backoff=0.02, max_backoff=0.4)
"""For steps that are not given up: how often they may fail does not matter."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A saga that somebody wants."""

    saga_id: str
    """Identifies it."""
    definition: Definition
    """What it runs."""
    step_inputs: Mapping[str, Any]
    """What shall happen to each step."""

    def input(self, content: int) -> dict[str, int]:
        """The input of the saga, which tells one start of the same id from another."""
        return {"content": content}


def draw(chance: Random, saga_id: str, participants: Sequence[str]) -> Errand:
    """Draws a saga."""
    needs = _draw_graph(chance)
    pivot = _draw_pivot(chance, needs)
    misery = chance.choice((0.0, 0.0, 0.05, 0.15))  # how likely each kind of trouble is
    steps, inputs = [], {}
    for name, needed in needs.items():
        kind = _kind(name, pivot, needs)
        step = Step(
            name,
            chance.choice(participants),
            chance.choice(ACTIONS),
            needs=needed,
            kind=kind,
            effect_free=kind is Kind.COMPENSATABLE and chance.random() < 0.05,
            timeout=chance.uniform(*TIMEOUTS),
            retry=_draw_retry(chance) if kind is Kind.COMPENSATABLE else RETRY_FOREVER,
        )
        steps.append(step)
        inputs[name] = {**_draw_wishes(chance, misery), "needs": needed}
    deadline = chance.uniform(0.05, 2.0) if chance.random() < 0.2 else None
    return Errand(
        saga_id=saga_id, definition=Definition("errand", steps, timeout=deadline), step_inputs=inputs
    )


def _draw_graph(chance: Random) -> dict[str, list[str]]:
    """The steps, in order, each with those it needs; half of the graphs are plain sequences."""
    names = [f"step-{number}" for number in range(chance.randint(1, 6))]
    if chance.random() < 0.5:
        return {name: names[max(place - 1, 0) : place] for place, name in enumerate(names)}
    return {
        name: chance.sample(names[:place], k=min(place, chance.choice((0, 1, 1, 2))))
        for place, name in enumerate(names)
    }


def _draw_pivot(chance: Random, needs: dict[str, list[str]]) -> str:
    """Makes one of the steps the point of no return, in a third of the graphs: it needs all before it, and is
    needed by all after it."""
    if chance.random() > 0.35:
        return ""
    names = list(needs)
    place = chance.randrange(len(names))
    pivot = names[place]
    needs[pivot] = names[:place]
    for name in names[place + 1 :]:
        needs[name] = [pivot, *(other for other in needs[name] if other in names[place + 1 :])]
    return pivot


def _kind(name: str, pivot: str, needs: Mapping[str, list[str]]) -> Kind:
    names = list(needs)
    if not pivot or names.index(name) < names.index(pivot):
        return Kind.COMPENSATABLE
    return Kind.PIVOT if name == pivot else Kind.RETRIABLE


def _draw_retry(chance: Random) -> Retry:
    return Retry(
        max_attempts=chance.choice((1, 1, 2, 5, 12)),
        initial_backoff=0.02,
        backoff_multiplier=chance.uniform(1.3, 2.0),
        max_backoff=chance.uniform(0.1, 0.5),
    )


def _draw_wishes(chance: Random, misery: float) -> dict[str, Any]:
    troubles = ("fail", "pend", "reject", "refuse")
    wishes: dict[str, Any] = {trouble: misery * chance.uniform(0, 2) for trouble in troubles}
    # Always less than the shortest timeout: what is retried for ever and takes longer would never succeed.
    return {**wishes, "seconds": chance.choice((0.0, 0.0, 0.05, TIMEOUTS[0] / 2)) * chance.random()}
