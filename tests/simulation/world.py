"""A world, from its first moment to its last: everything runs and things go wrong; then nothing goes wrong
any more, and every saga has to end."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from amends_coordinator import daemon
from amends_coordinator.core.transitions import SagaState, StepState
from amends_coordinator.core.values import Direction
from amends_coordinator.settings import ParticipantSettings, Settings
from tests.simulation.bindings import DEPOT
from tests.simulation.checker import Checker
from tests.simulation.clients import Clients
from tests.simulation.depot import depot
from tests.simulation.disk import Disk
from tests.simulation.environment import Loop
from tests.simulation.happenings import Happenings
from tests.simulation.network import Network
from tests.simulation.node import Node
from tests.simulation.participants import Behaviour, Provider, participant
from tests.simulation.plan import COORDINATOR, NODES, PARTICIPANTS, Occurrence, Plan
from tests.simulation.process import Process
from tests.simulation.story import Story

ADDRESSES = {node: f"{node}:1" for node in (*NODES, DEPOT)}

SECOND_RELEASE = 3
"""Every so many lives, the depot says of itself that it is of its second release."""

PATIENCE = 1_000.0
"""Seconds after the last fault in which every saga has ended or is parked: several times the longest wait
there is, a minute between attempts of a compensation."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether all is at rest."""

MENDED_BY = {
    Direction.FORWARD: {StepState.REJECTED: "SUCCEEDED", StepState.UNKNOWN: "SUCCEEDED"},
    Direction.BACKWARD: {StepState.REFUSED: "COMPENSATED"},
}
"""What an operator states in the end of a step that keeps its saga parked, by which way the saga goes."""


class World:
    """Nodes, a network between them, people, and what happens to all of them."""

    def __init__(
        self, loop: Loop, plan: Plan, story: Story, checker: Checker, network: Network, home: Path
    ) -> None:
        """Makes a world in which nothing has happened yet; files are kept below ``home``."""
        self._loop = loop
        self._plan = plan
        self._story = story
        self._checker = checker
        self._network = network
        self._home = home
        self._random = Random(f"{plan.seed}/world")
        self._behaviour = Behaviour()
        self._provider = Provider(checker.effect_changed)
        self._nodes = {
            COORDINATOR: self._node(COORDINATOR, self._coordinate, checker.coordinator_wrote),
            **{name: self._node(name, self._take_part, checker.participant_wrote) for name in PARTICIPANTS},
        }
        if plan.methods:
            self._nodes[DEPOT] = self._node(DEPOT, self._serve_methods, checker.participant_wrote)
        self._nodes[COORDINATOR].disk.gave = checker.coordinator_read
        self._people = Process("client", 1)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        checker.said.statuses_lie = plan.weather.made_up_rejections and plan.weather.made_up_status > 0
        network.without_exchange.add(ADDRESSES["post"])

    def _node(self, name: str, main: Any, worked: Callable[[Process], None]) -> Node:
        disk = Disk(self._home / name, self._random)
        disk.crashing = self._plan.crashing
        disk.injected = self._story.injected
        disk.worked = worked
        disk.changing_files = partial(self._checker.forget_file, disk.file)
        return Node(
            name,
            disk,
            main,
            random=self._random,
            network=self._network,
            checker=self._checker,
            story=self._story,
            skew=self._plan.skews.get(name, 0.0),
        )

    async def _coordinate(self, process: Process) -> None:
        settings = Settings(
            listen=ADDRESSES[COORDINATOR],
            store=f"sqlite:///{process.disk.file}",
            participants=tuple(
                ParticipantSettings(name=name, address=ADDRESSES[name]) for name in self._plan.services
            ),
            metrics=None,
            max_calls_in_flight=self._plan.calls_in_flight,
            max_live_sagas=self._plan.live_sagas,
        )
        await daemon.serve(settings)

    async def _take_part(self, process: Process) -> None:
        await participant(process, ADDRESSES[process.node], self._behaviour, self._provider)

    async def _serve_methods(self, process: Process) -> None:
        release = 1 if process.number % SECOND_RELEASE else 2
        await depot(
            process, ADDRESSES[process.node], self._behaviour, release if self._plan.reflects else None
        )

    # From beginning to end

    async def live(self) -> None:
        """Lives through all that is planned. Ends at once where a promise is broken."""
        whole = self._spawn(self._live_whole())
        stopped = self._spawn(self._checker.stop.wait())
        await asyncio.wait({whole, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if whole.done():
            whole.result()

    async def end(self) -> None:
        """Ends whatever is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for node in self._nodes.values():
            await node.bury()
        self._people.kill()
        await self._people.bury()

    async def _live_whole(self) -> None:
        for node in self._nodes.values():
            self._spawn(node.run())
        clients = await self._people.spawn(self._make_clients())
        starts, watches = self._visit(clients)
        await self._bad_times(clients)
        await self._good_times()
        await asyncio.gather(*starts)
        await self._until_at_rest()
        await self._people.spawn(self._mend(clients))
        await asyncio.gather(*watches)
        for node in self._nodes.values():
            await node.stop()
        self._checker.check_all({name: self._nodes[name].disk.file for name in self._plan.services})

    async def _make_clients(self) -> Clients:
        return Clients(ADDRESSES[COORDINATOR], self._checker, self._story)

    def _visit(self, clients: Clients) -> tuple[list["asyncio.Task[None]"], list["asyncio.Task[None]"]]:
        """Sends clients out, each at its time, to start sagas and to watch them."""
        starts, watches = [], []
        for saga in self._plan.sagas:
            starts.append((saga.start, partial(clients.start, saga)))
            starts += [(at, partial(clients.start, saga, content)) for at, content in saga.again]
            if saga.watched:
                watches.append((saga.start, partial(clients.watch, saga.id)))
        spawn = self._people.spawn
        return [spawn(_later(*each)) for each in starts], [spawn(_later(*each)) for each in watches]

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = self._loop.create_task(work)
        self._tasks[task] = None
        return task

    async def _bad_times(self, clients: Clients) -> None:
        happenings = Happenings(self._loop, self._nodes, self._network, clients, self._story)
        self._network.weather = self._plan.weather
        for occurrence in self._plan.occurrences:
            await asyncio.sleep(max(occurrence.at - self._loop.time(), 0.0))
            self._people_or_world(occurrence)(happenings.happen(occurrence))
        await asyncio.sleep(max(self._plan.seconds - self._loop.time(), 0.0))

    def _people_or_world(self, occurrence: Occurrence) -> Callable[[Coroutine[Any, Any, Any]], Any]:
        return self._people.spawn if occurrence.kind == "wish" else self._spawn

    async def _good_times(self) -> None:
        """Ends all faults. What a stale coordinator took is found by the next one that starts."""
        self._story.tell("from here on nothing goes wrong")
        self._network.heal()
        self._behaviour.calm = True
        for node in self._nodes.values():
            node.disk.recover()
            node.disk.crashing = 0.0
        coordinator = self._nodes[COORDINATOR]
        if coordinator.stale:
            for process in coordinator.stale:
                process.kill()
            coordinator.kill()

    async def _until_at_rest(self) -> None:
        """Waits until every saga has ended or is parked, and nothing is on its way any more."""
        until = self._loop.time() + PATIENCE
        while self._restless() or self._network.on_their_way:
            if self._loop.time() > until:
                stuck = ", ".join(self._restless()) or "starts that were not answered"
                self._checker.object(f"P2: neither ended nor parked, and nothing goes wrong: {stuck}", stuck)
                return
            await asyncio.sleep(LOOK_EVERY)

    def _restless(self) -> list[str]:
        return [
            saga_id
            for saga_id, kept in self._checker.sagas.items()
            if not kept.saga.state.ended and kept.saga.state is not SagaState.PARKED
        ]

    async def _mend(self, clients: Clients) -> None:
        """Brings every parked saga to its end: by a retry, and where that is not enough by resolving."""
        flagged = await clients.needing_attention()
        for saga_id in sorted(self._parked()):
            if saga_id not in flagged:
                self._checker.object("P2: the saga is parked, and no list shows it", saga_id)
            await clients.wish("retry", saga_id, "", "")
        await self._until_at_rest()
        while parked := sorted(self._parked()):
            for saga_id in parked:
                saga = self._checker.sagas[saga_id].saga
                mended = MENDED_BY[Direction.FORWARD if saga.turn_back is None else Direction.BACKWARD]
                place = next((place for place, run in enumerate(saga.runs) if run.state in mended), None)
                if place is None:
                    self._checker.object("P2: the saga is parked, and there is nothing to resolve", saga_id)
                    return
                step, state = saga.step(place).name, saga.runs[place].state
                if not await clients.wish("resolve", saga_id, step, mended[state]):
                    self._checker.object(f"P2: a parked saga cannot be mended by resolving {step}", saga_id)
                    return
            await self._until_at_rest()

    def _parked(self) -> list[str]:
        sagas = self._checker.sagas
        return [saga_id for saga_id, kept in sagas.items() if kept.saga.state is SagaState.PARKED]


async def _later(moment: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Does something at a moment of the world's time, or at once if that has passed."""
    await asyncio.sleep(max(moment - asyncio.get_running_loop().time(), 0.0))
    await work()
