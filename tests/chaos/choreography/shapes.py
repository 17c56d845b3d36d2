"""The sagas that the services of a round know: which steps, of which services, in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from amends.choreography import Kind

DESK: Final = "desk"
STOCK: Final = "stock"
PURSE: Final = "purse"
GATE: Final = "gate"

SERVICES: Final = (DESK, STOCK, PURSE, GATE)
"""All services; sagas begin at the desk."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One reaction."""

    service: str
    """Whose it is."""
    needs: tuple[str, ...] = ()
    """The steps that must have taken effect before it."""
    undone_after: tuple[str, ...] = ()
    """The steps whose compensation it waits for before its own, if they are to be compensated."""
    kind: Kind = Kind.COMPENSATABLE
    """Which way out it leaves open."""
    effect_free: bool = False
    """Whether what it writes may stay."""
    rejects: bool = False
    """Whether it may say no."""


Shape = Mapping[str, Step]
"""The steps of a saga by name, the entry first."""

FAN: Final[Shape] = {
    "open": Step(service=DESK, rejects=True),
    "reserve": Step(service=STOCK, needs=("open",), rejects=True),
    "charge": Step(service=PURSE, needs=("open",), rejects=True),
    "meet_stock": Step(service=GATE, needs=("reserve",)),
    "meet_purse": Step(service=GATE, needs=("charge",)),
    "ship": Step(service=GATE, needs=("meet_stock", "meet_purse"), kind=Kind.PIVOT, rejects=True),
    "close": Step(service=DESK, needs=("ship",), kind=Kind.RETRIABLE),
    "dispatch": Step(service=STOCK, needs=("ship",), kind=Kind.RETRIABLE),
}
"""Two branches that meet at the gate, then the pivot, then two steps that cannot fail."""

LINE: Final[Shape] = {
    "ask": Step(service=DESK, undone_after=("hold",), rejects=True),
    "hold": Step(service=STOCK, needs=("ask",), undone_after=("pay",), rejects=True),
    "pay": Step(service=PURSE, needs=("hold",), undone_after=("deliver",), rejects=True),
    "deliver": Step(service=GATE, needs=("pay",), rejects=True),
    "finish": Step(service=DESK, needs=("deliver",), effect_free=True, rejects=True),
}
"""One after another; each compensation reacts to the one before it."""

SHAPES: Final[Mapping[str, Shape]] = {"fan": FAN, "line": LINE}
"""By name."""


def entry_of(shape: Shape) -> str:
    """The step that a saga begins by."""
    return next(iter(shape))
