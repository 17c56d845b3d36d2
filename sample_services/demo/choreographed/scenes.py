"""The scenes of the demo without a coordinator: what is ordered, what is broken, and when."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from amends import Client, SagaState
from sample_services.contract import Order
from sample_services.demo.choreographed.audit import COMPLETED, ends_of
from sample_services.demo.choreographed.customer import Customer
from sample_services.demo.choreographed.post import told_of
from sample_services.demo.choreographed.stage import Stage
from sample_services.demo.choreographed.telling import Told
from sample_services.demo.narrator import Narrator
from sample_services.demo.scenes import CROWD, CROWD_BEFORE_KILL, KINDS, TEA, TO_THE_POLE, TOO_DEAR
from sample_services.demo.stage import ROOT
from sample_services.turnstile import POLL_S

READING_S: Final = 30.0
"""How long the onlooker may take to make out how all sagas have ended: it takes one or two."""

ENDED: Final = frozenset({SagaState.COMPLETED, SagaState.COMPENSATED})

KILLED_IN_CROWD: Final = ("inventory", "payments", "orders")
"""Who is killed in the crowd, all at once."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """What every scene has at hand."""

    stage: Stage
    customer: Customer
    narrator: Narrator
    accepted: list[str]
    """The ids of all orders that the door has answered."""
    onlooker: dict[str, str]
    """What a coordinator that only listens says of each saga, once it has been asked."""

    async def place(self, order_id: str, order: Order) -> None:
        """Has the customer place an order."""
        await self.customer.place(order_id, order)
        self.accepted.append(order_id)

    @asynccontextmanager
    async def ordering(self, order_id: str, order: Order) -> AsyncIterator[Told]:
        """Places an order, tells its events while the scene goes on, and waits for its end."""
        told = Told(self.stage, self.narrator, order_id)
        async with asyncio.TaskGroup() as group:
            await self.place(order_id, order)
            group.create_task(told.tell())
            yield told
        # Orders have told of theirs by the events.
        others = [book for book in self.stage.books() if book.service != "orders"]
        self.narrator.effects(order_id, others)

    async def halt_bus(self) -> None:
        """Has the bus take nothing from now on."""
        self.narrator.deed(await self.stage.bus.halt())

    async def resume_bus(self) -> None:
        """Has it go on."""
        self.narrator.deed(await self.stage.bus.resume())

    async def kill(self, name: str) -> None:
        """Kills a service as a power cut would."""
        process = self.stage.services[name]
        self.narrator.deed(f"kill -9 {process.pid} ({name})")
        await process.kill()

    async def start(self, name: str) -> None:
        """Starts a service that was killed."""
        process = self.stage.services[name]
        await process.start()
        self.narrator.deed(f"{name} again, as process {process.pid}")


async def completed(cast: Cast) -> None:
    """A saga that completes."""
    cast.narrator.heading("An order to Amsterdam. Nobody has anything against it.")
    async with cast.ordering("amsterdam", TEA):
        pass


async def refused_by_payments(cast: Cast) -> None:
    """A saga that fails in the middle: everybody before it hears of the failure at once."""
    cast.narrator.heading("An order that its account cannot pay. Orders and inventory hear of it at once.")
    async with cast.ordering("short-account", TOO_DEAR):
        pass


async def refused_by_shipping(cast: Cast) -> None:
    """A saga that fails at its last step, and is undone in a chain: the money first, then the goods."""
    cast.narrator.heading(
        "An order to the South Pole. Shipping rejects it: first the money goes back, then the goods."
    )
    async with cast.ordering("south-pole", TO_THE_POLE):
        pass


async def orders_die_before_publishing(cast: Cast) -> None:
    """SIGKILL between commit and publish: an order is accepted, and no event has left."""
    cast.narrator.heading("kill -9 to orders between commit and publish. What was accepted is not lost.")
    await cast.halt_bus()
    async with cast.ordering("killed-before-publishing", TEA) as told:
        await told.wait_for("place")
        (event,) = told_of("killed-before-publishing", cast.stage.posts())
        assert not event.sent, "the bus takes nothing"
        cast.narrator.deed(f"the customer has the answer, and {event.type} waits in the outbox")
        await cast.kill("orders")
        await cast.resume_bus()
        await cast.start("orders")


async def payments_die_before_acknowledging(cast: Cast) -> None:
    """SIGKILL between commit and acknowledgement: the event comes again, to a service that has reacted."""
    stage, narrator = cast.stage, cast.narrator
    narrator.heading("kill -9 to payments between commit and acknowledgement. The money is taken once.")
    stage.turnstile.close("charge")
    async with cast.ordering("killed-before-acknowledging", TEA) as told:
        await stage.turnstile.wait_until_reached("charge")
        narrator.deed("payments are halfway through the charge")
        await cast.halt_bus()
        stage.turnstile.open("charge")
        await told.wait_for("charge")
        await cast.kill("payments")
        await cast.resume_bus()
        assert (await stage.bus.unacknowledged())["payments"], "the bus took nothing"
        narrator.deed("the money is taken, and the bus still waits for payments to acknowledge")
        await cast.start("payments")


async def a_crowd(cast: Cast) -> None:
    """Many orders at once, of every kind, with three services killed among them."""
    cast.narrator.heading(f"{CROWD} orders at once, of every kind, and kill -9 to three services among them.")
    ids = [f"crowd-{number:02}" for number in range(CROWD)]
    async with asyncio.TaskGroup() as group:
        for order_id, order in zip(ids, cycle(KINDS), strict=False):
            group.create_task(cast.place(order_id, order))
        ended = await _until_ended(cast.stage, ids, CROWD_BEFORE_KILL)
        cast.narrator.deed(f"{ended} have ended")
        for name in KILLED_IN_CROWD:
            await cast.kill(name)
        for name in KILLED_IN_CROWD:
            group.create_task(cast.start(name))
    await _until_ended(cast.stage, ids, CROWD)
    ends = list(ends_of(ids, cast.stage.books()).values())
    completed = ends.count(COMPLETED)
    cast.narrator.aside(f"all have ended: {completed} completed, {CROWD - completed} turned back", "green")


async def silence(cast: Cast) -> None:
    """Nothing is on its way any more: what came twice has come, and was known."""
    cast.narrator.heading("What was taken and not acknowledged comes again, and inboxes know it.")
    while not await _is_silent(cast.stage):  # noqa: ASYNC110 - the events are in other processes
        await asyncio.sleep(POLL_S)
    cast.narrator.say("Every event is published, and every delivery acknowledged.")


async def an_onlooker(cast: Cast) -> None:
    """A coordinator that was not there reads from the bus what has become of every saga."""
    stage, narrator = cast.stage, cast.narrator
    narrator.heading("A coordinator that was not there reads it all from the bus, and commands nothing.")
    await stage.onlooker.start()
    narrator.deed(f"amends serve --bus, as process {stage.onlooker.pid}")
    async with Client(stage.onlooker_address) as client:
        with suppress(TimeoutError):  # whatever it has not made out by then is for the audit
            async with asyncio.timeout(READING_S):
                while not {cast.onlooker.get(order_id) for order_id in cast.accepted} <= ENDED:
                    cast.onlooker.update({saga.id: saga.state async for saga in client.list()})
                    await asyncio.sleep(POLL_S)
    await _show_list(cast)


SCENES: Final[Sequence[Callable[[Cast], Awaitable[None]]]] = (
    completed,
    refused_by_payments,
    refused_by_shipping,
    orders_die_before_publishing,
    payments_die_before_acknowledging,
    a_crowd,
    silence,
    an_onlooker,
)
"""All scenes, in their order."""


async def _show_list(cast: Cast) -> None:
    command = ("list", "--limit", "5")
    cast.narrator.say(f"$ amends {' '.join(command)}", "bold")
    target = ("--target", cast.stage.onlooker_address)
    listing = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "amends_coordinator.cli",
        *target,
        *command,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await listing.communicate()
    for line in told.decode().splitlines():
        cast.narrator.say(line)


async def _is_silent(stage: Stage) -> bool:
    if any((await stage.bus.unacknowledged()).values()):
        return False
    return all(posted.sent for post in stage.posts() for posted in post.posted)


async def _until_ended(stage: Stage, sagas: Sequence[str], count: int) -> int:
    """Waits until so many of some sagas have ended; returns how many have."""
    while True:
        ended = sum(end is not None for end in ends_of(sagas, stage.books()).values())
        if ended >= count:
            return ended
        await asyncio.sleep(POLL_S)
