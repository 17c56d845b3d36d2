"""What happens in a round, drawn from its seed before anything is started."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final, TypeVar

T = TypeVar("T")

COORDINATOR: Final = "amends"
"""The coordinator's name among the processes; its link is the one that customers go through."""

NAMES: Final = ("alpha", "beta", "gamma")
"""Participants."""

CUSTOMERS: Final = ("customer-1", "customer-2")
"""Programs that start sagas."""

SECONDS: Final = (4.0, 9.0)
"""How long the faults of a round go on: time for some restarts, of a third of a second each and more."""

MOMENTS: Final = (0.05, 0.3, 1.5)
"""Seconds, at most, that a harm lasts: less than a call, less than its timeout, or more."""

LATE: Final = (1.0, 2.5)
"""The same for calls to participants that arrive late: by then a saga of few attempts has turned back, and
its Compensates have overtaken its Tries (P5)."""

FULL: Final = (1.5, 4.0)
"""The same for a full disk, of which a store notices nothing while it writes over what it has of its log."""


class Harm(StrEnum):
    """What can be done to a process, to a link, or to a disk."""

    KILL = "kill"
    """SIGKILL; the process is started again at once."""
    FREEZE = "freeze"
    """SIGSTOP, and later SIGCONT."""
    RESTART = "restart"
    """SIGTERM; it must end with status 0, and is started again."""
    CUT = "cut"
    """The connections of a link break."""
    STALL = "stall"
    """The link is a black hole for a while."""
    SWALLOW = "swallow"
    """Requests arrive and replies do not; then the connections break."""
    LATE = "late"
    """The connections break for the caller, and what was on its way arrives later."""
    SLOW = "slow"
    """Everything takes longer."""
    FILL = "fill"
    """The disk of a store is full."""


_TO_PROCESSES: Final = {Harm.KILL: 6, Harm.FREEZE: 3, Harm.RESTART: 1}
_TO_LINKS: Final = {Harm.CUT: 3, Harm.STALL: 2, Harm.SWALLOW: 2, Harm.LATE: 1, Harm.SLOW: 1}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One harm."""

    at: float
    """Seconds since the faults of the round began."""
    harm: Harm
    """What is done."""
    target: str
    """The process, or the one that the link leads to, or whose store is on the disk."""
    seconds: float
    """How long it lasts, where it lasts."""

    def __str__(self) -> str:
        """Says it in a few words."""
        return f"{self.at:5.2f} s  {self.harm} {self.target}, {self.seconds:.2f} s"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A round."""

    seed: int
    """What everything is drawn from."""
    seconds: float
    """How long faults and customers go on."""
    participants: tuple[str, ...]
    """Who takes part."""
    by_unary_calls: frozenset[str]
    """The participants that offer no Exchange."""
    on_small_disk: str
    """Whose store is on a disk that gets full; empty for nobody's."""
    max_live_sagas: int
    """How many sagas the coordinator holds: plenty, or so few that it has to turn some away."""
    faults: tuple[Fault, ...]
    """What is done to them, in order."""


def draw(seed: int, *, seconds: float | None = None) -> Plan:
    """Draws the plan of a round.

    Args:
        seed: decides.
        seconds: how long it goes on; None: that is drawn too.
    """
    chance = Random(seed)
    seconds = chance.uniform(*SECONDS) if seconds is None else seconds
    participants = NAMES[: chance.choice((2, 2, 3))]
    by_unary_calls = frozenset(name for name in participants if chance.random() < 0.2)
    on_small_disk = chance.choice((COORDINATOR, *participants)) if chance.random() < 0.4 else ""
    max_live_sagas = chance.choice((50_000, 50_000, 20))
    return Plan(
        seed=seed,
        seconds=seconds,
        participants=participants,
        by_unary_calls=by_unary_calls,
        on_small_disk=on_small_disk,
        max_live_sagas=max_live_sagas,
        faults=tuple(sorted(_draw_faults(chance, seconds, participants, on_small_disk), key=lambda f: f.at)),
    )


def _draw_faults(
    chance: Random, seconds: float, participants: tuple[str, ...], on_small_disk: str
) -> list[Fault]:
    # Customers are harmed less: what they wrote down of the others is what a round is judged by.
    processes = {COORDINATOR: 4, **dict.fromkeys(participants, 3), **dict.fromkeys(CUSTOMERS, 1)}
    participants_only = dict.fromkeys(participants, 1)
    links = {COORDINATOR: 2, **dict.fromkeys(participants, 3)}

    def fault(harms: dict[Harm, int], targets: dict[str, int], longest: Sequence[float] = MOMENTS) -> Fault:
        return Fault(
            at=chance.uniform(0, seconds),
            harm=weighed(chance, harms),
            target=weighed(chance, targets),
            seconds=chance.choice(longest) * chance.uniform(0.5, 1.0),
        )

    faults = [fault(_TO_PROCESSES, processes) for _ in range(round(seconds * chance.uniform(1.0, 2.5)))]
    faults += [fault(_TO_LINKS, links) for _ in range(round(seconds * chance.uniform(1.0, 3.0)))]
    faults += [fault({Harm.LATE: 1}, participants_only, LATE) for _ in range(round(seconds / 2))]
    if on_small_disk:
        faults += [fault({Harm.FILL: 1}, {on_small_disk: 1}, FULL) for _ in range(chance.choice((1, 2)))]
    return faults


def weighed(chance: Random, weights: dict[T, int]) -> T:
    return chance.choices(list(weights), list(weights.values()))[0]
