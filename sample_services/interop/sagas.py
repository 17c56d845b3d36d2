"""Runs order sagas across inventory in Python, payments in another language, and shipping in Python."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amends import Client
from sample_services.demo.audit import audit
from sample_services.demo.stage import Stage, opened_stage
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
"""Those of an order to a country where nobody delivers."""

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
    """A stage with payments in another language, and a client in it."""

    stage: Stage
    """Everything that runs."""
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
    async with opened_stage(folder, standing_in={"payments": serving}) as stage:
        yield Scene(stage=stage, client=ForeignClient(calling, stage.address))


async def cancel(scene: Scene) -> str:
    """Has the client start, watch and cancel a saga that cannot go on, since shipping is away.

    Raises:
        CheckFailedError: it did not turn back as it should.
    """
    shipping = scene.stage.participants["shipping"]
    await shipping.stop()
    await scene.client.start("cancelled")
    async with scene.client.watching("cancelled") as watch:
        await watch.until("step_succeeded charge")
        await scene.client.cancel("cancelled")
        await watch.until("compensation_started")
        # What was asked of shipping may have happened, for all the coordinator knows: it asks to undo it.
        await shipping.start()
        facts = await watch.facts()
    for fact in ("cancel_requested", "step_compensated charge", "step_compensated reserve"):
        if fact not in facts:
            raise CheckFailedError(f"watch never told {fact!r}; it told {', '.join(facts)}")
    _expect_last(facts, "saga_compensated")
    await _audit(scene.stage, ["cancelled"])
    return "started, watched and cancelled a saga, which was compensated"


async def order(scene: Scene) -> str:
    """Has the client place orders that complete, that nobody can deliver, and that nobody can pay.

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
        facts = await scene.client.watch(saga_id)
        if tuple(facts) != expected:
            told = f"should have gone {', '.join(expected)}; it went {', '.join(facts)}"
            raise CheckFailedError(f"saga {saga_id} {told}")
    await _audit(scene.stage, list(plots))
    return "1 order completed, 2 were compensated, and all ledgers agree"


def _expect_last(facts: Sequence[str], expected: str) -> None:
    if facts[-1] != expected:
        raise CheckFailedError(f"the saga should have ended with {expected!r}; it ended with {facts[-1]!r}")


async def _audit(stage: Stage, accepted: Sequence[str]) -> None:
    async with Client(stage.address) as client:
        sagas = [(await client.get(saga_id)).proto for saga_id in accepted]
    report = audit(sagas, stage.books(), accepted=accepted)
    if not report.agrees:
        raise CheckFailedError("; ".join(map(str, report.findings)))
