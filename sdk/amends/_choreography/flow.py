"""How reactions follow one another: what comes before a reaction, and what follows from an event. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from amends.v1 import choreography_pb2


class Node(NamedTuple):
    """A reaction of a service."""

    service: str
    reaction: choreography_pb2.ReactionDescription

    def __str__(self) -> str:
        """Names it as people do."""
        return f"{self.service}.{self.reaction.step}"


def nodes_of(services: Iterable[choreography_pb2.ServiceDescription]) -> list[Node]:
    """Lists the reactions of services."""
    return [Node(service.service, reaction) for service in services for reaction in service.reactions]


def ancestors_of(nodes: Sequence[Node]) -> Mapping[int, set[int]]:
    """For each reaction, by its place, those that must have succeeded before it."""
    emitters: dict[str, set[int]] = defaultdict(set)
    for place, node in enumerate(nodes):
        for name in node.reaction.emits:
            emitters[name].add(place)
    known: dict[int, set[int]] = {}

    def find(place: int, seen: frozenset[int]) -> set[int]:
        if place in known or place in seen:
            return known.get(place, set())
        found: set[int] = set()
        for emitter in emitters.get(nodes[place].reaction.on, ()):
            found |= {emitter} | find(emitter, seen | {place})
        known[place] = found
        return found

    for place in range(len(nodes)):
        find(place, frozenset())
    return known


def consequences(events: Iterable[str], nodes: Iterable[Node], *, past: Collection[Node] = ()) -> set[str]:
    """Events, and all that they lead to where every reaction and every compensation succeeds.

    Args:
        events: the types to begin at.
        nodes: all reactions.
        past: reactions whose success is not followed.
    """
    leads: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        if node.reaction.on and node not in past:
            leads[node.reaction.on].update(node.reaction.emits)
        for compensation in node.reaction.compensations:
            leads[compensation.on].update(compensation.emits)
    found: set[str] = set()
    ahead = list(events)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += leads[name]
    return found
