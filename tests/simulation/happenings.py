"""What happens to a world, one method for every kind of occurrence in a plan."""

import asyncio
from collections.abc import Mapping

from tests.simulation.clients import Clients
from tests.simulation.environment import Loop
from tests.simulation.network import Network
from tests.simulation.node import Node
from tests.simulation.plan import COORDINATOR, Occurrence
from tests.simulation.story import Story

FAILING = 0.5
"""Chance that a piece of work fails on a disk that fails."""

SLOW_DISK = 300.0
"""Times that work takes longer on a slow disk: some tenths of a second."""


class Happenings:
    """Has occurrences occur."""

    def __init__(
        self, loop: Loop, nodes: Mapping[str, Node], network: Network, clients: Clients, story: Story
    ) -> None:
        """Happens to these."""
        self._loop = loop
        self._nodes = nodes
        self._network = network
        self._clients = clients
        self._story = story

    async def happen(self, occurrence: Occurrence) -> None:
        """Has one occurrence occur."""
        await getattr(self, occurrence.kind)(*occurrence.arguments)

    async def cut(self, one: str, other: str, seconds: float, silent: bool) -> None:
        """Cuts two nodes off from each other."""
        self._network.cut(one, other, seconds, silent=silent)

    async def break_streams(self, path: str) -> None:
        """Breaks the streams of a method."""
        self._network.break_some(path)

    async def slow(self, node: str, seconds: float) -> None:
        """Makes a node slow for a while."""
        self._story.injected(f"{node} is slow for {seconds:.1f} s")
        self._network.slowness[node] = 0.5
        await asyncio.sleep(seconds)
        self._network.slowness.pop(node, None)

    async def crash(self, name: str, turns: int) -> None:
        """Kills a process, so many turns of the event loop from now."""
        node = self._nodes[name]

        def kill() -> None:
            self._story.injected(f"{node.process} is killed")
            node.kill()

        self._loop.after_turns(turns, kill)

    async def restart(self, name: str) -> None:
        """Asks a process to end; it is started again."""
        process = self._nodes[name].process
        if process is not None and process.alive and not process.lock_lost:
            self._story.injected(f"{process} is asked to end")
            process.terminate()

    async def zombie(self, seconds: float) -> None:
        """Has another coordinator take over from one that does not know."""
        self._nodes[COORDINATOR].take_over(seconds)

    async def disk(self, kind: str, name: str, seconds: float) -> None:
        """Has a disk be full, fail or be slow for a while."""
        self._story.injected(f"the disk of {name} is {kind} for {seconds:.1f} s")
        disk = self._nodes[name].disk
        disk.full = kind == "full"
        disk.failing = FAILING if kind == "failing" else 0.0
        disk.slowness = SLOW_DISK if kind == "slow" else 1.0
        await asyncio.sleep(seconds)
        disk.recover()

    async def wish(self, wish: str, saga_id: str, step: str, resolution: str) -> None:
        """Has an operator interfere."""
        await self._clients.wish(wish, saga_id, step, resolution)
