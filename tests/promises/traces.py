"""What the fence and the ledger of one step say of each other (P4, P5)."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from tests.promises.ledgers import Trace

EFFECTS: Final[Mapping[str | None, frozenset[tuple[int, int]]]] = {
    "TRIED": frozenset({(1, 0)}),
    "COMPENSATED": frozenset({(1, 1)}),
    "REJECTED": frozenset({(0, 0)}),
    "TOMBSTONE": frozenset({(0, 0)}),
    "INTENDED": frozenset(),  # only of what lies outside
    None: frozenset({(0, 0)}),
}
"""How often the effect may have been applied, and undone, for each state of a fence."""

EFFECTS_OUTSIDE: Final[Mapping[str | None, frozenset[tuple[int, int]]]] = {
    **EFFECTS,
    # Nobody but the provider knows whether an attempt that did not end had its effect.
    "INTENDED": frozenset({(0, 0), (1, 0)}),
    "COMPENSATED": frozenset({(0, 0), (1, 1)}),
}
"""The same where the effect lies outside the database."""

NEXT: Final[Mapping[str | None, frozenset[str]]] = {
    # A Try and its Compensate that came together are written once, in one transaction.
    None: frozenset({"INTENDED", "TRIED", "REJECTED", "COMPENSATED", "TOMBSTONE"}),
    "INTENDED": frozenset({"INTENDED", "TRIED", "REJECTED", "COMPENSATED"}),
    "TRIED": frozenset({"COMPENSATED"}),
    "REJECTED": frozenset(),
    "COMPENSATED": frozenset(),
    "TOMBSTONE": frozenset(),
}
"""The states that a fence may be written with after each; None: before the first."""


def broken_by_trace(trace: Trace) -> Iterator[str]:
    """Tells which promises about one step are broken, by what its service wrote down."""
    applied, undone = trace.count("applied"), trace.count("undone")
    kinds = [line.what for line in trace.lines]
    first_undone = kinds.index("undone") if undone else len(kinds)
    if "too late" in kinds or "applied" in kinds[first_undone:]:
        yield "P5: a Try ran after its Compensate"
    if trace.fence == "TOMBSTONE" and kinds:
        yield f"P5: the fence has a tombstone, and the ledger {kinds}"
    for before, after in pairwise((None, *trace.moves)):
        if after not in NEXT[before]:
            yield f"P5: the fence went from {before} to {after}"
    deeds = {line.deed for line in trace.lines if line.what in ("applied", "undone")}
    if len(deeds) > 1:
        yield f"P4: what was undone is not what was applied: {sorted(deeds)}"
    if (applied, undone) not in (EFFECTS_OUTSIDE if trace.external else EFFECTS)[trace.fence]:
        yield f"P4: the fence says {trace.fence}, and the effect was applied {applied} times, undone {undone}"
