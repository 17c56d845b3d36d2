"""What happens in a round, drawn from its seed before anything is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.chaos.choreography.haste import OUTLASTING
from tests.chaos.choreography.shapes import SERVICES
from tests.chaos.plan import CUSTOMERS, FULL, MOMENTS, Fault, Harm, weighed

BUS: Final = "bus"
"""The bus's name, where its disk is full or its server is harmed."""

TRACKER: Final = "amends"
"""The daemon that follows the bus, and shows how far sagas are."""

BUSES: Final = ("sqlite", "nats")
"""The kinds of bus."""

SECONDS: Final = (4.0, 8.0)
"""How long the faults of a round go on."""

_TO_PROCESSES: Final = {Harm.KILL: 6, Harm.FREEZE: 3, Harm.RESTART: 1}
_TO_LINKS: Final = {Harm.CUT: 3, Harm.STALL: 2, Harm.SWALLOW: 2, Harm.LATE: 1, Harm.SLOW: 1}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A round."""

    seed: int
    """What everything is drawn from."""
    bus: str
    """What kind of bus carries the events."""
    seconds: float
    """How long faults and customers go on."""
    workers: Mapping[str, str]
    """The processes of services, and the service that each belongs to: one or two."""
    publishing: frozenset[str]
    """The processes that publish what is in the outbox: at least one of each service."""
    relays: Mapping[str, str]
    """The processes that do nothing but publish, and the service that each belongs to."""
    on_small_disk: str
    """Whose store is on a disk that gets full: a service, the bus, or empty for nobody's."""
    replays_at: float | None
    """When an operator has what is dead sent again although nothing is mended, in seconds since the faults
    began; None for never."""
    faults: tuple[Fault, ...]
    """What is done to them, in order."""


def draw(seed: int, bus: str, *, seconds: float | None = None) -> Plan:
    """Draws the plan of a round.

    Args:
        seed: decides.
        bus: one of BUSES.
        seconds: how long it goes on; None: that is drawn too.
    """
    chance = Random(f"{seed} {bus}")
    seconds = chance.uniform(*SECONDS) if seconds is None else seconds
    twins = {name: f"{name}-2" for name in SERVICES if name != SERVICES[0] and chance.random() < 0.3}
    apart = frozenset(name for name in SERVICES if chance.random() < 0.25)
    workers = {**{name: name for name in SERVICES}, **{twin: name for name, twin in twins.items()}}
    disks = SERVICES if bus == "nats" else (*SERVICES, BUS, BUS)
    on_small_disk = chance.choice(disks) if chance.random() < 0.4 else ""
    relays = {f"{name}-relay": name for name in SERVICES if name in apart}
    return Plan(
        seed=seed,
        bus=bus,
        seconds=seconds,
        workers=workers,
        publishing=frozenset(worker for worker, name in workers.items() if name not in apart),
        relays=relays,
        on_small_disk=on_small_disk,
        replays_at=chance.uniform(0, seconds) if chance.random() < 0.5 else None,
        faults=tuple(
            sorted(
                _draw_faults(chance, seconds, bus, [*workers, *relays, TRACKER], on_small_disk),
                key=lambda f: f.at,
            )
        ),
    )


def _draw_faults(
    chance: Random, seconds: float, bus: str, processes: list[str], on_small_disk: str
) -> list[Fault]:
    # Customers are harmed less: what they wrote down of the others is what a round is judged by.
    targets = {**dict.fromkeys(processes, 3), **dict.fromkeys(CUSTOMERS, 1)}

    def fault(harms: dict[Harm, int], among: dict[str, int], longest: tuple[float, ...] = MOMENTS) -> Fault:
        return Fault(
            at=chance.uniform(0, seconds),
            harm=weighed(chance, harms),
            target=weighed(chance, among),
            seconds=chance.choice(longest) * chance.uniform(0.5, 1.0),
        )

    faults = [fault(_TO_PROCESSES, targets) for _ in range(round(seconds * chance.uniform(1.0, 2.5)))]
    for _ in range(chance.choice((0, 1, 2))):  # stops that outlast every lease
        stop = fault({Harm.FREEZE: 1}, dict.fromkeys(processes, 1))
        faults.append(
            Fault(at=stop.at, harm=stop.harm, target=stop.target, seconds=chance.uniform(*OUTLASTING))
        )
    if bus == "nats":
        links = dict.fromkeys(processes, 1)
        faults += [fault(_TO_LINKS, links) for _ in range(round(seconds * chance.uniform(0.5, 2.0)))]
        faults += [fault(_TO_PROCESSES, {BUS: 1}) for _ in range(chance.choice((0, 1, 2, 3)))]
    if on_small_disk:
        faults += [fault({Harm.FILL: 1}, {on_small_disk: 1}, FULL) for _ in range(chance.choice((1, 2)))]
    return faults
