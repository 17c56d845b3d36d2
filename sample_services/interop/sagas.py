"""Runs order sagas across inventory in Python, payments in another language, and a carrier without Amends."""

import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amends import Client
from sample_services.carrier import ledger
from sample_services.demo.audit import audit
from sample_services.demo.stage import Stage, free_addresses, opened_stage, program
from sample_services.interop.bookings import check_bookings, without_bookings
from sample_services.interop.checking import CheckFailedError
from sample_services.interop.client import ForeignClient

COMPLETED: Final = (
    "saga_started",
    "step_succeeded reserve",
    "step_succeeded charge",
    "step_succeeded ship",
    "saga_completed",
)
"""The facts of an order whose goods are on their way."""

UNDELIVERABLE: Final = (
    "saga_started",
    "step_succeeded reserve",
    "step_succeeded charge",
    "step_rejected ship",
    "compensation_started",
    "step_compensated charge",
    "step_compensated reserve",
    "saga_compensated",
)
"""Those of an order to a country where the carrier does not go."""

CANCELLED: Final = (
    "saga_started",
    "step_succeeded reserve",
    "step_succeeded charge",
    "cancel_requested",
    "compensation_started",
    "step_succeeded ship",
    "step_compensated ship",
    "step_compensated charge",
    "step_compensated reserve",
    "saga_compensated",
)
"""Those of an order that is cancelled while the carrier books its parcel."""

UNPAID: Final = (
    "saga_started",
    "step_succeeded reserve",
    "step_rejected charge",
    "compensation_started",
    "step_compensated reserve",
    "saga_compensated",
)
"""Those of an order that its account cannot pay."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A stage with payments and a client in another language, and a carrier beside it."""

    stage: Stage
    """Everything else that runs."""
    bookings: Path
    """The ledger of the carrier."""
    client: ForeignClient
    """Talks to its coordinator."""


@asynccontextmanager
async def opened_scene(serving: Sequence[str], calling: Sequence[str], folder: Path) -> AsyncIterator[Scene]:
    """Starts everything with its files in a folder.

    Args:
        serving: runs the payments, given --listen and --store.
        calling: runs the client, given --target.
        folder: an empty one.
    """
    (address,) = free_addresses(1)
    bookings = folder / "carrier.db"
    command = [sys.executable, "-m", "sample_services.carrier", "--listen", address]
    carrier = program(folder, "carrier", [*command, "--store", f"sqlite:///{bookings}"])
    await carrier.start()
    try:
        standing_in, elsewhere = {"payments": serving}, {"shipping": address}
        async with opened_stage(folder, standing_in=standing_in, elsewhere=elsewhere) as stage:
            yield Scene(stage=stage, bookings=bookings, client=ForeignClient(calling, stage.address))
    finally:
        await carrier.stop()


async def cancel(scene: Scene) -> str:
    """Has the client start and watch a saga, and cancel it while the carrier takes its time to book a parcel.

    Raises:
        CheckFailedError: it did not turn back as it should.
    """
    with _held_up(scene.bookings):
        await scene.client.start("cancelled")
        async with scene.client.watching("cancelled") as watch:
            await watch.until("step_succeeded charge")
            await scene.client.cancel("cancelled")
            await watch.until("compensation_started")
    facts = await scene.client.watch("cancelled")
    _expect("cancelled", facts, CANCELLED)
    await _audit(scene, ["cancelled"])
    return "a saga was started, watched and cancelled, and the booking of its parcel, too"


async def order(scene: Scene) -> str:
    """Has the client place orders that complete, that the carrier refuses, and that nobody can pay.

    Raises:
        CheckFailedError: one of them did not go as it should, or a ledger tells otherwise.
    """
    plots: dict[str, tuple[dict[str, str], Sequence[str]]] = {
        "delivered": ({}, COMPLETED),
        "undeliverable": ({"country": "CH"}, UNDELIVERABLE),
        "unpaid": ({"account": "linus"}, UNPAID),
    }
    for saga_id, (options, expected) in plots.items():
        await scene.client.start(saga_id, **options)
        _expect(saga_id, await scene.client.watch(saga_id), expected)
    await _audit(scene, list(plots))
    return "1 order completed, 2 were compensated, and all ledgers agree"


def _expect(saga_id: str, facts: Sequence[str], expected: Sequence[str]) -> None:
    if tuple(facts) != expected:
        told = f"should have gone {', '.join(expected)}; it went {', '.join(facts)}"
        raise CheckFailedError(f"saga {saga_id} {told}")


@contextmanager
def _held_up(bookings: Path) -> Iterator[None]:
    """Keeps the carrier waiting for its ledger, whatever it is asked to do."""
    with closing(sqlite3.connect(bookings, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


async def _audit(scene: Scene, accepted: Sequence[str]) -> None:
    async with Client(scene.stage.address) as client:
        sagas = [await client.get(saga_id) for saga_id in accepted]
    report = audit(map(without_bookings, sagas), scene.stage.books(), accepted=accepted)
    findings = [*report.findings, *check_bookings(sagas, ledger.read(scene.bookings))]
    if findings:
        raise CheckFailedError("; ".join(map(str, findings)))
