"""The graph that the reactions of all services form: which event leads to which, and what may be missing.

Pure. What it finds is told and not enforced: services start one after another, and know only of those that
have announced themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from amends._choreography.finality import reversals
from amends._choreography.flow import Node, ancestors_of, consequences, nodes_of
from amends.v1 import choreography_pb2, saga_pb2

Step = saga_pb2.Step


def faults_of(services: Sequence[choreography_pb2.ServiceDescription], *, of: str) -> list[str]:
    """Says what is wrong with the graph where one service is part of it.

    Args:
        services: all that are known.
        of: names the service.
    """
    nodes = nodes_of(services)
    mine = [node for node in nodes if node.service == of]
    return [
        *_unheard(mine, nodes),
        *_cycles(mine, nodes),
        *_not_undone(mine, nodes),
        *reversals(mine, nodes),
    ]


def _unheard(mine: Sequence[Node], nodes: Sequence[Node]) -> Iterator[str]:
    """A failure that nobody answers to. Other events may be the last of their saga."""
    heard = {name for node in nodes for name in _heard(node)}
    for node in mine:
        if node.reaction.fails_as and node.reaction.fails_as not in heard:
            yield f"{node} fails as {node.reaction.fails_as}, and no known service reacts to that"
        for name in node.reaction.emits:
            if (
                name not in heard
                and node.reaction.kind == Step.COMPENSATABLE
                and not node.reaction.effect_free
            ):
                yield f"{node} emits {name}, and no known service reacts to that"


def _heard(node: Node) -> Iterator[str]:
    if node.reaction.on:
        yield node.reaction.on
    for compensation in node.reaction.compensations:
        yield compensation.on


def _cycles(mine: Sequence[Node], nodes: Sequence[Node]) -> Iterator[str]:
    """Events that lead to each other for ever."""
    leads: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        for before, after in _leads(node):
            leads[after].add(before)
    try:
        TopologicalSorter(leads).prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        if set(cycle) & {name for node in mine for pair in _leads(node) for name in pair}:
            yield f"events lead to each other in a circle: {' -> '.join(cycle)}"


def _leads(node: Node) -> Iterator[tuple[str, str]]:
    reaction = node.reaction
    for name in (*reaction.emits, *([reaction.fails_as] if reaction.fails_as else [])):
        if reaction.on:
            yield reaction.on, name
    for compensation in reaction.compensations:
        for name in compensation.emits:
            yield compensation.on, name


def _not_undone(mine: Sequence[Node], nodes: Sequence[Node]) -> Iterator[str]:
    """A step that has taken effect, and stays when a later one is rejected."""
    ancestors = ancestors_of(nodes)
    for place, node in enumerate(nodes):
        if not node.reaction.fails_as:
            continue
        undoing = consequences([node.reaction.fails_as], nodes)
        for earlier in sorted(ancestors[place]):
            effect = nodes[earlier].reaction
            if effect.effect_free or effect.kind != Step.COMPENSATABLE:
                continue
            if not undoing & {each.on for each in effect.compensations} and (
                node in mine or nodes[earlier] in mine
            ):
                yield (
                    f"{nodes[earlier]} is not undone when {node} fails as {node.reaction.fails_as}: "
                    "give it a compensation on that event, or on one that follows from it"
                )
