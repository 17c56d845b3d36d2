"""The declared reactions of all services: who is to react to what. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from amends_coordinator.core.definition import Kind


class StepKey(NamedTuple):
    """One step of choreographed sagas: a reaction of a service."""

    service: str
    step: str

    @property
    def name(self) -> str:
        """What the step is called where services are beside each other."""
        return f"{self.service}.{self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What a service has said of one of its steps."""

    key: StepKey
    on: str  # the type of event it reacts to; empty for an entry
    emits: tuple[str, ...] = ()  # on success
    fails_as: str = ""
    compensated_on: tuple[str, ...] = ()
    compensation_emits: tuple[str, ...] = ()
    effect_free: bool = False
    kind: int = 0  # as in the contracts; 0 for the default


class Graph:
    """Reactions, by what leads to them. Graphs of the same reactions are equal."""

    def __init__(self, reactions: Iterable[Reaction] = (), services: Iterable[str] = ()) -> None:
        """Arranges the reactions of these services; some may have none."""
        self._reactions = {reaction.key: reaction for reaction in reactions}
        self._services = frozenset(services) | {key.service for key in self._reactions}
        self._on: dict[str, list[Reaction]] = defaultdict(list)
        self._compensated_on: dict[str, list[Reaction]] = defaultdict(list)
        self._types: set[str] = set()
        for reaction in self._reactions.values():
            if reaction.on:
                self._on[reaction.on].append(reaction)
            for event_type in reaction.compensated_on:
                self._compensated_on[event_type].append(reaction)
            told = {reaction.on, reaction.fails_as, *reaction.emits, *reaction.compensation_emits}
            self._types |= told | set(reaction.compensated_on)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return self._reactions == other._reactions and self._services == other._services

    __hash__ = None  # type: ignore[assignment] # it is compared, and never looked up

    def __repr__(self) -> str:
        return f"<Graph of {len(self._reactions)} steps in {len(self._services)} services>"

    def knows(self, service: str, event_type: str) -> bool:
        """Whether a service has announced itself, and somebody has named a type of event."""
        return service in self._services and event_type in self._types

    def reaction(self, key: StepKey) -> Reaction | None:
        """Finds what was said of a step."""
        return self._reactions.get(key)

    def is_pivot(self, key: StepKey) -> bool:
        """Whether a step was said to be one after which there is no way back."""
        reaction = self._reactions.get(key)
        return reaction is not None and reaction.kind == Kind.PIVOT

    def reactions_on(self, event_type: str) -> Sequence[Reaction]:
        """Lists the steps that an event of this type has tried."""
        return self._on.get(event_type, ())

    def compensated_on(self, event_type: str) -> Sequence[Reaction]:
        """Lists the steps that an event of this type has compensated."""
        return self._compensated_on.get(event_type, ())
