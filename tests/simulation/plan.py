"""What a seed draws: which sagas are run, how participants behave, what goes wrong, and when."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Any

from amends import Definition
from amends_coordinator.contract.definitions import definition_from_proto, definition_to_proto
from amends_coordinator.core import definition as core
from tests.core.core_worlds import random_definition
from tests.simulation.bindings import DEPOT, Given, with_methods
from tests.simulation.network import Weather

COORDINATOR = "coordinator"
PARTICIPANTS = ("shop", "bank", "post")
NODES = (COORDINATOR, *PARTICIPANTS)

ACTIONS = {"shop": ("plain",), "bank": ("coroutine", "external", "external"), "post": ("plain", "coroutine")}
"""What each participant offers: handlers of every kind. `post` is called by unary RPCs only."""

FINAL = {"shop": "final", "bank": "final-external", "post": "final"}
"""What each offers that cannot be compensated."""

FIRST = "first"
"""The content that a saga's first start has."""

OTHER = ("labels", "inputs", "definition")
"""Where a start with the same id and other content may differ from it."""

MAX_SAGAS = 14

METHODS = 0.4
"""Chance that some steps of a world call methods of a service that knows nothing of Amends."""


class Fault(StrEnum):
    """What can go wrong. Every world has some of these, and no two have the same mixture."""

    LOSS = "loss"
    """Requests and replies are lost, and connections break."""
    DUPLICATES = "duplicates"
    """Requests are delivered again, up to a hundred seconds later."""
    DELAYS = "delays"
    """Messages overtake each other or are held up, and nodes are slow."""
    PARTITIONS = "partitions"
    """Nodes cannot reach each other, and are told so or not."""
    GARBAGE = "garbage"
    """Replies arrive that cannot be read."""
    PROXIES = "proxies"
    """Something on the way answers in a participant's place."""
    CRASHES = "crashes"
    """Processes die, wherever they are, and start again."""
    RESTARTS = "restarts"
    """Processes are stopped as they should be, and start again."""
    ZOMBIES = "zombies"
    """A coordinator goes on for a while although another one has taken over."""
    DISKS = "disks"
    """Disks fail, are full, or are slow."""
    CLOCKS = "clocks"
    """The wall clocks of processes are wrong."""
    HANDLERS = "handlers"
    """Handlers reject, raise, take their time, answer pending, and refuse to compensate."""
    OPERATORS = "operators"
    """People cancel, retry and resolve, at bad moments."""
    CLIENTS = "clients"
    """Clients start the same saga again, or another one under its id."""


_CONTRADICT_PROXIES = frozenset({Fault.DUPLICATES, Fault.ZOMBIES})
"""Where there are other copies of a call than the one that a proxy has seen."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of what a seed draws: how a failing world is made small."""

    faults: frozenset[Fault] = frozenset(Fault)
    sagas: int = MAX_SAGAS  # at most
    variation: int = 0  # draws everything else anew

    def options(self) -> str:
        """Says it as the command line does."""
        left_out = ",".join(sorted(set(Fault) - self.faults))
        options = f" --sagas {self.sagas}" if self.sagas < MAX_SAGAS else ""
        options += f" --without {left_out}" if left_out else ""
        return options + (f" --variation {self.variation}" if self.variation else "")


@dataclass(frozen=True, slots=True)
class Mood:
    """How a participant behaves about one step; it travels as the step's input."""

    rejects: int = 0
    raises: int = 0  # the first so many Trys
    pends: int = 0  # the next so many
    pause: float = 0.7  # seconds after which a pending step wants to be asked again
    seconds: float = 0.0  # that a Try takes, where the handler is a coroutine
    raises_undo: int = 0  # the first so many Compensates
    pends_undo: int = 0  # the next so many
    refuses: int = 0  # the next so many


@dataclass(frozen=True, slots=True)
class SagaPlan:
    """One saga, and what its clients do."""

    id: str
    definition: Definition
    moods: dict[str, Mood]
    start: float  # seconds from the beginning
    way: str  # of starting: "start", "stream", or "run", which waits for the end
    watched: bool
    again: tuple[tuple[float, str], ...]  # further starts: when, and with which content
    given: Given | None = None  # what steps that call methods are given

    def inputs(self, odd: str) -> dict[str, Any]:
        """The inputs of the saga and its steps, as options of a start; ``odd`` makes them other ones."""
        mark = {odd: 1.0} if odd else {}
        performing = [step.name for step in self.definition.steps if step.action]
        step_inputs: dict[str, Any] = {step: {**asdict(self.moods[step]), **mark} for step in performing}
        if self.given is None:
            return {"step_inputs": step_inputs}
        return {
            "input": self.given.input(odd),
            "step_inputs": step_inputs | self.given.step_inputs(odd),
        }


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happens to a node, or between two, or that somebody does to a saga."""

    at: float  # seconds from the beginning
    kind: str  # the name of a method of `happenings`
    arguments: tuple[object, ...]


@dataclass(slots=True)
class Plan:
    """Everything that is to happen."""

    seed: int
    faults: frozenset[Fault]
    seconds: float  # until the faults stop
    sagas: list[SagaPlan]
    weather: Weather
    occurrences: list[Occurrence]
    skews: dict[str, float] = field(default_factory=dict)  # seconds by which each life of a node may be wrong
    crashing: float = 0.0  # chance that a node dies as it writes
    calls_in_flight: int = 1_000
    live_sagas: int = 50_000
    methods: bool = False  # whether there is a depot, whose methods are called
    reflects: bool = False  # whether it can be asked for its types

    @property
    def services(self) -> tuple[str, ...]:
        """The nodes that are called."""
        return (*PARTICIPANTS, DEPOT) if self.methods else PARTICIPANTS


def draw(seed: int, scope: Scope) -> Plan:
    """Draws a plan. The same seed and scope give the same plan."""
    random = Random(f"{seed}/{scope.variation}")
    chosen = frozenset(fault for fault in Fault if random.random() < 0.55)
    if Fault.PROXIES in chosen and random.random() < 0.6:
        chosen -= _CONTRADICT_PROXIES
    faults = chosen & scope.faults
    seconds = random.choice([5.0, 20.0, 60.0])
    count = min(random.randint(1, MAX_SAGAS), scope.sagas)
    sagas = [_saga(random, f"s{number}", seconds, faults) for number in range(1, count + 1)]
    crashing = random.choice([0.0, 0.002, 0.02]) if Fault.CRASHES in faults else 0.0
    plan = Plan(
        seed=seed,
        faults=faults,
        seconds=seconds,
        sagas=sagas,
        weather=_weather(random, faults),
        occurrences=sorted(_occurrences(random, seconds, faults, sagas), key=lambda each: each.at),
        skews=dict.fromkeys(NODES, 5.0) if Fault.CLOCKS in faults else {},
        crashing=crashing,
        calls_in_flight=random.choice([1, 2, 1_000]),
        live_sagas=random.choice([2, 50_000, 50_000]),
    )
    _add_methods(plan, Random(f"{seed}/{scope.variation}/methods"))
    return plan


def _add_methods(plan: Plan, random: Random) -> None:
    """Has some worlds call methods, too. What else they are does not depend on it."""
    plan.methods = random.random() < METHODS
    if not plan.methods:
        return
    plan.reflects = random.random() < 0.4
    plan.weather.garble_method = random.choice([0.02, 0.2]) if Fault.GARBAGE in plan.faults else 0.0
    for place, saga in enumerate(plan.sagas):
        if random.random() < 0.7:
            moods = {step: asdict(mood) for step, mood in saga.moods.items()}
            drawn = definition_from_proto(saga.definition.to_proto())
            definition, given = with_methods(random, saga.id, drawn, moods, plan.reflects)
            message = definition_to_proto(definition)
            plan.sagas[place] = replace(saga, definition=Definition.from_proto(message), given=given)
    for fault in sorted(plan.faults & _DRAW_DEPOT.keys()):
        for _ in range(random.randint(1, 3)):
            kind, arguments = _DRAW_DEPOT[fault](random)
            plan.occurrences.append(Occurrence(random.uniform(0.0, plan.seconds), kind, arguments))
    plan.occurrences.sort(key=lambda each: each.at)


def _saga(random: Random, saga_id: str, seconds: float, faults: frozenset[Fault]) -> SagaPlan:
    drawn = random_definition(random)
    steps = tuple(_step(random, step) for step in drawn.steps)
    definition = replace(drawn, name=f"d-{saga_id}", steps=steps)
    message = definition_to_proto(definition)
    start = random.uniform(0.0, seconds * 0.8)
    contents = [FIRST, FIRST, *OTHER]
    times = [start + random.uniform(0.0, 30.0) for _ in range(random.randint(0, 2))]
    again = [(at, random.choice(contents)) for at in times]
    moods = {step.name: _mood(random, faults) for step in steps}
    return SagaPlan(
        id=saga_id,
        definition=Definition.from_proto(message),
        moods=moods,
        start=start,
        way=random.choice(["start", "start", "stream", "run"]),
        watched=random.random() < 0.4,
        again=tuple(again) if Fault.CLIENTS in faults else (),
    )


def _step(random: Random, step: core.Step) -> core.Step:
    participant = random.choice(PARTICIPANTS)
    final = step.kind is not core.Kind.COMPENSATABLE and random.random() < 0.4
    retry = core.Retry(
        max_attempts=random.choice([1, 2, 4, 20]),
        initial_backoff=random.choice([0.05, 0.5]),
        max_backoff=random.choice([1.0, 5.0]),
    )
    return replace(
        step,
        participant=participant,
        action=FINAL[participant] if final else random.choice(ACTIONS[participant]),
        timeout=random.choice([0.2, 2.0, 10.0]),
        retry=retry,
    )


def _mood(random: Random, faults: frozenset[Fault]) -> Mood:
    rejects = int(random.random() < 0.12)  # even on a good day
    if Fault.HANDLERS not in faults:
        return Mood(rejects=rejects)

    def some(most: int, chance: float = 0.2) -> int:
        return random.randint(1, most) if random.random() < chance else 0

    return Mood(
        rejects=rejects,
        raises=some(4),
        pends=some(3, 0.35),
        pause=random.choice([0.7, 0.7, 90.0]),  # beyond a minute, a saga leaves memory
        seconds=random.uniform(0.0, 4.0) if random.random() < 0.3 else 0.0,
        raises_undo=some(12),
        pends_undo=some(3),
        refuses=some(2),
    )


def _weather(random: Random, faults: frozenset[Fault]) -> Weather:
    def chance(fault: Fault, most: float) -> float:
        return random.choice([most / 10, most]) if fault in faults else 0.0

    return Weather(
        lose_request=chance(Fault.LOSS, 0.08),
        lose_reply=chance(Fault.LOSS, 0.08),
        duplicate=chance(Fault.DUPLICATES, 0.15),
        garble=chance(Fault.GARBAGE, 0.06),
        made_up_status=chance(Fault.PROXIES, 0.25),
        made_up_rejections=not faults & _CONTRADICT_PROXIES,
        stall=chance(Fault.DELAYS, 0.03),
        delay=random.choice([0.05, 1.0]) if Fault.DELAYS in faults else 0.005,
    )


def _occurrences(
    random: Random, seconds: float, faults: frozenset[Fault], sagas: list[SagaPlan]
) -> Iterator[Occurrence]:
    for fault in sorted(faults & _DRAW.keys()):
        for _ in range(random.randint(1, 8)):
            kind, arguments = _DRAW[fault](random)
            yield Occurrence(random.uniform(0.0, seconds), kind, arguments)
    if Fault.OPERATORS in faults:
        for _ in range(random.randint(1, 12)):
            saga = random.choice(sagas)
            step = random.choice(saga.definition.steps).name
            wish = random.choice(["cancel", "cancel", "retry", "retry", "resolve"])
            resolution = random.choice(["SUCCEEDED", "NO_EFFECT", "COMPENSATED"])
            at = saga.start + random.uniform(0.0, 20.0)
            yield Occurrence(at, "wish", (wish, saga.id, step, resolution))


def _cut(random: Random) -> tuple[str, tuple[object, ...]]:
    one, other = random.choice([(COORDINATOR, node) for node in (*PARTICIPANTS, "client")])
    return "cut", (one, other, random.choice([0.5, 5.0, 30.0]), random.random() < 0.5)


def _crash(random: Random) -> tuple[str, tuple[object, ...]]:
    node = random.choice([COORDINATOR, COORDINATOR, *PARTICIPANTS])
    return "crash", (node, random.randint(0, 40))


def _disk(random: Random) -> tuple[str, tuple[object, ...]]:
    kind = random.choice(["full", "failing", "slow"])
    return "disk", (kind, random.choice(NODES), random.choice([0.2, 2.0, 10.0]))


def _restart(random: Random) -> tuple[str, tuple[object, ...]]:
    return "restart", (random.choice(NODES),)


_DRAW = {
    Fault.LOSS: lambda random: (
        "break_streams",
        (random.choice(["/Exchange", "/StartSagas", "/WatchSaga"]),),
    ),
    Fault.DELAYS: lambda random: ("slow", (random.choice(NODES), random.choice([0.5, 5.0, 20.0]))),
    Fault.PARTITIONS: _cut,
    Fault.CRASHES: _crash,
    Fault.RESTARTS: _restart,
    Fault.ZOMBIES: lambda random: ("zombie", (random.uniform(0.5, 20.0),)),
    Fault.DISKS: _disk,
}

_DRAW_DEPOT = {
    Fault.DELAYS: lambda random: ("slow", (DEPOT, random.choice([0.5, 5.0, 20.0]))),
    Fault.PARTITIONS: lambda random: (
        "cut",
        (COORDINATOR, DEPOT, random.choice([0.5, 5.0, 30.0]), random.random() < 0.5),
    ),
    Fault.CRASHES: lambda random: ("crash", (DEPOT, random.randint(0, 40))),
    Fault.RESTARTS: lambda random: ("restart", (DEPOT,)),
    Fault.DISKS: lambda random: (
        "disk",
        (random.choice(["full", "failing", "slow"]), DEPOT, random.choice([0.2, 2.0, 10.0])),
    ),
}
