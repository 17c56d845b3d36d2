"""What would turn a saga back after its pivot has succeeded (P8), as far as declarations show. Pure.

Beside each other are two reactions that the same event leads to by different ways: neither waits for the
other. Where a reaction emits one event or another, they may exclude each other, and nothing is said of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from amends._choreography.flow import Node, ancestors_of, consequences
from amends.v1 import saga_pb2

Step = saga_pb2.Step


class _Sides(NamedTuple):
    """Where the reactions of a saga are, seen from its pivot."""

    earlier: list[Node]  # they lead to it, or may be taken instead of it
    beside: list[Node]
    later: list[Node]


def reversals(mine: Sequence[Node], nodes: Sequence[Node]) -> Iterator[str]:
    """Says what can turn a saga back after its pivot, where one of these reactions is part of that.

    Args:
        mine: the reactions of one service.
        nodes: those of all services.
    """
    ancestors = ancestors_of(nodes)
    for place, pivot in enumerate(nodes):
        if pivot.reaction.kind != Step.PIVOT:
            continue
        sides = _sides_of(place, nodes, ancestors)
        for node in (*sides.beside, *sides.later):
            if node.reaction.fails_as and (node in mine or pivot in mine):
                yield _can_fail(node, pivot, is_later=node in sides.later)
        for node, event in _undone_after(pivot, sides, nodes):
            if node in mine or pivot in mine:
                yield (
                    f"{node} can still be undone by {event} after the pivot {pivot} has succeeded: "
                    f"have {event} decided by {pivot.service}, or by a step that comes before the pivot"
                )


def _can_fail(node: Node, pivot: Node, *, is_later: bool) -> str:
    if is_later:
        return f"{node} comes after the pivot {pivot} and can fail: after that there is no way back"
    return (
        f"{node} runs beside the pivot {pivot} and can fail after that has succeeded, when there is no way "
        "back: let the pivot come after it"
    )


def _sides_of(pivot: int, nodes: Sequence[Node], ancestors: Mapping[int, set[int]]) -> _Sides:
    sides = _Sides([], [], [])
    leading = ancestors[pivot] | {pivot}
    heard = {nodes[place].reaction.on for place in leading} - {""}
    for place, node in enumerate(nodes):
        own = ancestors[place] | {place}
        if place == pivot:
            continue
        if pivot in own:
            sides.later.append(node)
        elif any(nodes[each].reaction.on in heard for each in own - leading):
            sides.beside.append(node)
        elif own & leading:
            sides.earlier.append(node)
    return sides


def _undone_after(pivot: Node, sides: _Sides, nodes: Sequence[Node]) -> Iterator[tuple[Node, str]]:
    """Steps of the pivot's saga, each with an event that undoes it and is not decided before the pivot."""
    decided = {pivot.reaction.fails_as}
    for node in nodes:
        decides = node in sides.earlier or (node.service == pivot.service and node not in sides.later)
        if decides and node != pivot:
            decided |= {node.reaction.fails_as, *node.reaction.emits}
    # What fails beside or behind the pivot is told of by itself.
    told = {node.reaction.fails_as for node in (*sides.beside, *sides.later)}
    known = consequences(decided, nodes, past=[pivot, *sides.beside, *sides.later]) | consequences(
        told, nodes
    )
    found = [
        (node, compensation.on)
        for node in (*sides.earlier, *sides.beside, *sides.later)
        for compensation in node.reaction.compensations
        if compensation.on not in known
    ]
    follows = {event: consequences([event], nodes) for _, event in found}
    for node, event in found:
        # Of events that lead to each other in a circle none is the first: each is told.
        if not any(event in follows[cause] and cause not in follows[event] for cause in follows):
            yield node, event
