"""The network: who can be reached, how long messages take, and what befalls them on the way.

Connections are like those of TCP: what is sent on one arrives in order, late, or not at all, in which case
the connection breaks and both ends are told, each in its time. On top of that comes what proxies and retries
do to calls: a message is delivered once more, much later; an answer is garbled; a status is made up.
"""

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

import grpc

from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.endpoints import Server
    from tests.simulation.rpc import Rpc


@dataclass(slots=True)
class Weather:
    """Chances of what befalls a message, each from 0 to 1; and the greatest usual delay, in seconds.

    A status that clears a step speaks for all copies of a call, by contract. A proxy cannot know of the
    others, so it makes such a status up only where there are none.
    """

    lose_request: float = 0.0
    lose_reply: float = 0.0
    duplicate: float = 0.0
    garble: float = 0.0
    garble_method: float = 0.0  # the same of replies of plain methods, of which there are fewer
    made_up_status: float = 0.0
    made_up_rejections: bool = False  # whether a made-up status may be one that clears a step
    stall: float = 0.0
    delay: float = 0.005


class Observer(Protocol):
    """Sees what goes over the network."""

    def call_leaves(self, rpc: "Rpc", data: bytes) -> None:
        """A message of a caller leaves its process."""

    def reply_leaves(self, rpc: "Rpc", data: bytes) -> None:
        """A message of whoever was called leaves its process."""

    def status_leaves(self, rpc: "Rpc", code: grpc.StatusCode) -> None:
        """Whoever was called ends the call by a status that is an error."""

    def call_arrives(self, rpc: "Rpc", data: bytes) -> None:
        """A message of a caller is about to be read."""


class Network:
    """Connects the nodes."""

    def __init__(self, random: Random, observer: Observer, injected: Callable[[str], None]) -> None:
        """Makes a network without faults.

        Args:
            random: what decides.
            observer: sees every message.
            injected: is told of every fault.
        """
        self.random = random
        self.observer = observer
        self.injected = injected
        self.weather = Weather()
        self.slowness: dict[str, float] = {}  # seconds that a node takes longer for everything
        self.without_exchange: set[str] = set()  # addresses of servers that offer no Exchange
        self.on_their_way = 0  # duplicates that have yet to arrive
        self.nobody = Process("network", 0)  # who sends duplicates
        self._servers: dict[str, Server] = {}
        self._cuts: dict[frozenset[str], tuple[float, bool]] = {}  # until when, and whether in silence
        self._rpcs: dict[Rpc, None] = {}

    def after(self, seconds: float, callback: Callable[[], object]) -> None:
        """Calls back later, in the name of no process."""
        asyncio.get_running_loop().call_later(seconds, callback, context=contextvars.Context())

    def chance(self, probability: float) -> bool:
        """Draws."""
        return probability > 0 and self.random.random() < probability

    # Who is there

    def listen(self, address: str, server: "Server") -> None:
        """Has a server be found at an address, in place of the one before."""
        self._servers[address] = server

    def server_at(self, address: str) -> "Server | None":
        """Finds who listens at an address."""
        server = self._servers.get(address)
        return server if server is not None and server.listening else None

    def join(self, rpc: "Rpc") -> None:
        """Notes a call that is under way."""
        self._rpcs[rpc] = None

    def leave(self, rpc: "Rpc") -> None:
        """Forgets a call that is over at both ends."""
        self._rpcs.pop(rpc, None)

    def cut_off(self, process: Process) -> None:
        """Closes the connections of a process that died. What it sent before still arrives."""
        for rpc in list(self._rpcs):
            if rpc.client is process:
                rpc.client_is_gone()
            elif rpc.server is process:
                rpc.server_is_gone()

    # How long it takes

    def transit(self, sender: str, receiver: str) -> float:
        """Seconds that the next message takes from one node to another."""
        seconds = self.random.uniform(0.0002, self.weather.delay)
        seconds += self.slowness.get(sender, 0.0) + self.slowness.get(receiver, 0.0)
        if self.chance(self.weather.stall):
            self.injected("a message was held up")
            seconds += self.random.uniform(0.5, 20.0)
        until, silent = self._cuts.get(frozenset((sender, receiver)), (0.0, False))
        now = asyncio.get_running_loop().time()
        # In silence, TCP sends again until it gets through.
        return seconds + max(until - now, 0.0) if silent else seconds

    # Partitions

    def cut(self, one: str, other: str, seconds: float, *, silent: bool) -> None:
        """Cuts two nodes off from each other for a while, with or without them being told."""
        self.injected(f"{one} and {other} were cut off for {seconds:.1f} s")
        self._cuts[frozenset((one, other))] = (asyncio.get_running_loop().time() + seconds, silent)
        if not silent:
            for rpc in list(self._rpcs):
                if {rpc.client.node, rpc.server_node} == {one, other}:
                    rpc.break_off("the network was cut")

    def refuses(self, one: str, other: str) -> bool:
        """Whether a new connection between two nodes fails at once."""
        until, silent = self._cuts.get(frozenset((one, other)), (0.0, False))
        return not silent and asyncio.get_running_loop().time() < until

    def heal(self) -> None:
        """Ends all faults. What was held up is on its way already."""
        self.weather = Weather()
        self.slowness.clear()
        self._cuts.clear()

    def break_some(self, path: str) -> None:
        """Breaks the connections that carry calls of a method."""
        for rpc in list(self._rpcs):
            if rpc.path.endswith(path):
                self.injected(f"a connection that carried {path} broke")
                rpc.break_off("the connection broke")
