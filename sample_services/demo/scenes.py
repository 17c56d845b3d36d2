"""The scenes of the demo: what is ordered, what is broken, and when."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Final

from amends import Client, EventKind, Saga
from sample_services.contract import Order
from sample_services.demo.narrator import Narrator
from sample_services.demo.stage import Stage
from sample_services.turnstile import POLL_S

TEA: Final = Order(
    sku="tea-green", quantity=2, account="ada", address="Herengracht 1, Amsterdam", country="NL"
)
"""An order that nobody has anything against."""

TO_THE_POLE: Final = replace(TEA, quantity=3, address="Amundsen-Scott Station", country="AQ")
"""An order that shipping rejects, which is asked last."""

TOO_DEAR: Final = replace(TEA, account="linus")
"""An order that payments reject: Linus has ten euros."""

KINDS: Final = (
    TEA,
    replace(TEA, account="grace", country="FR"),
    TO_THE_POLE,
    TEA,
    TOO_DEAR,
    replace(TEA, sku="pot-iron", quantity=1, account="grace"),  # of which there are three
)
"""What a crowd orders."""

CROWD: Final = 60
"""How many orders come at once: enough to catch many of them halfway, few enough to take a second or two."""

CROWD_BEFORE_KILL: Final = 5
"""How many of them have ended when the coordinator is killed."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """What every scene has at hand."""

    stage: Stage
    client: Client
    narrator: Narrator
    accepted: list[str]
    """The ids of all sagas whose start was answered."""

    @asynccontextmanager
    async def ordering(self, saga_id: str, order: Order) -> AsyncIterator[Told]:
        """Starts a saga, tells its events while the scene goes on, and waits for its end."""
        told = Told(self, saga_id)
        async with asyncio.TaskGroup() as group:
            await self.client.start("order", order, saga_id=saga_id)
            self.accepted.append(saga_id)
            group.create_task(told.tell())
            yield told
        self.narrator.effects(saga_id, self.stage.books())


class Told:
    """A saga whose events are told as they happen."""

    def __init__(self, cast: Cast, saga_id: str) -> None:
        self._cast = cast
        self._saga_id = saga_id
        self._seen: defaultdict[tuple[EventKind, str], asyncio.Event] = defaultdict(asyncio.Event)

    async def tell(self) -> None:
        """Tells the events until the saga ends, whatever happens to the coordinator meanwhile."""
        started = None
        async for event in self._cast.client.watch(self._saga_id):
            started = started or event.time
            self._cast.narrator.event(event, started)
            self._seen[event.kind, event.step].set()

    async def wait_for(self, kind: EventKind, step: str) -> None:
        """Waits until an event has been told."""
        await self._seen[kind, step].wait()


async def refused_by_shipping(cast: Cast) -> None:
    """A saga that fails at its last step, and is rolled back."""
    cast.narrator.heading(
        "An order to the South Pole. Shipping is asked last, and rejects it: all is undone."
    )
    async with cast.ordering("south-pole", TO_THE_POLE):
        pass


async def completed(cast: Cast) -> None:
    """A saga that completes."""
    cast.narrator.heading("An order to Amsterdam. Nobody has anything against it.")
    async with cast.ordering("amsterdam", TEA):
        pass


async def refused_by_payments(cast: Cast) -> None:
    """A saga that fails in the middle."""
    cast.narrator.heading("An order that its account cannot pay. Shipping never hears of it.")
    async with cast.ordering("short-account", TOO_DEAR):
        pass


async def coordinator_dies_while_charging(cast: Cast) -> None:
    """SIGKILL to the coordinator while a charge is in flight; its reply comes to nobody."""
    stage, narrator = cast.stage, cast.narrator
    narrator.heading("kill -9 to the coordinator while a charge is under way. The money is taken, once.")
    stage.turnstile.close("charge")
    async with cast.ordering("coordinator-killed", TEA) as told:
        await told.wait_for(EventKind.STEP_SUCCEEDED, "reserve")
        await stage.turnstile.wait_until_reached("charge")
        await _kill_coordinator(cast)
        stage.turnstile.open("charge")
        await _until_moved(stage, "payments", "coordinator-killed", 1)
        narrator.deed("payments took the money, and there was nobody to hear it")
        await _start_coordinator(cast)


async def coordinator_dies_while_refunding(cast: Cast) -> None:
    """The same on the way back."""
    stage, narrator = cast.stage, cast.narrator
    narrator.heading("kill -9 to the coordinator while a refund is under way. The money is returned, once.")
    stage.turnstile.close("refund")
    async with cast.ordering("killed-refunding", TO_THE_POLE) as told:
        await told.wait_for(EventKind.COMPENSATION_STARTED, "")
        await stage.turnstile.wait_until_reached("refund")
        await _kill_coordinator(cast)
        stage.turnstile.open("refund")
        await _until_moved(stage, "payments", "killed-refunding", 2)
        narrator.deed("payments returned the money, and there was nobody to hear it")
        await _start_coordinator(cast)


async def payments_die_while_charging(cast: Cast) -> None:
    """SIGKILL to a participant between its effect and its commit."""
    stage, narrator = cast.stage, cast.narrator
    payments = stage.participants["payments"]
    narrator.heading(
        "kill -9 to payments in the middle of a charge. The coordinator asks until they are back."
    )
    stage.turnstile.close("charge")
    async with cast.ordering("payments-killed", TEA) as told:
        await told.wait_for(EventKind.STEP_SUCCEEDED, "reserve")
        await stage.turnstile.wait_until_reached("charge")
        narrator.deed(f"kill -9 {payments.pid} (payments)")
        await payments.kill()
        stage.turnstile.open("charge")
        await told.wait_for(EventKind.ATTEMPT_FAILED, "charge")
        await payments.start()
        narrator.deed(f"payments are back, as process {payments.pid}")


async def a_crowd(cast: Cast) -> None:
    """Many orders at once, of every kind, with the coordinator killed among them."""
    cast.narrator.heading(
        f"{CROWD} orders at once, of every kind, and kill -9 to the coordinator among them."
    )
    ended: list[Saga] = []
    enough = asyncio.Event()

    async def place(number: int, order: Order) -> None:
        # Its start is repeated if need be, which the id makes harmless.
        saga = await cast.client.run("order", order, saga_id=f"crowd-{number:02}")
        cast.accepted.append(saga.id)
        ended.append(saga)
        if len(ended) == CROWD_BEFORE_KILL:
            enough.set()

    async with asyncio.TaskGroup() as group:
        for number, order in zip(range(CROWD), cycle(KINDS), strict=False):
            group.create_task(place(number, order))
        await enough.wait()
        cast.narrator.deed(f"{len(ended)} have ended")
        await _kill_coordinator(cast)
        await _start_coordinator(cast)
    completed = sum(saga.completed for saga in ended)
    cast.narrator.aside(
        f"all have ended: {completed} completed, {len(ended) - completed} turned back", "green"
    )


SCENES: Final[Sequence[Callable[[Cast], Awaitable[None]]]] = (
    refused_by_shipping,
    completed,
    refused_by_payments,
    coordinator_dies_while_charging,
    coordinator_dies_while_refunding,
    payments_die_while_charging,
    a_crowd,
)
"""All scenes, in their order."""


async def _kill_coordinator(cast: Cast) -> None:
    cast.narrator.deed(f"kill -9 {cast.stage.coordinator.pid} (the coordinator)")
    await cast.stage.coordinator.kill()


async def _start_coordinator(cast: Cast) -> None:
    await cast.stage.coordinator.start()
    cast.narrator.deed(f"the coordinator is back, as process {cast.stage.coordinator.pid}")


async def _until_moved(stage: Stage, service: str, saga_id: str, movements: int) -> None:
    """Waits until a ledger has so many movements for a saga."""
    while True:
        book = next(book for book in stage.books() if book.service == service)
        if sum(movement.saga == saga_id for movement in book.movements) >= movements:
            return
        await asyncio.sleep(POLL_S)
