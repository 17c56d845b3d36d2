"""Looks, without touching anything, whether anything is left to do for anybody."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import nats
import nats.errors

from amends._bus.interface import BusUnavailableError
from tests.chaos.choreography.plan import BUS
from tests.chaos.choreography.shapes import SERVICES
from tests.chaos.choreography.stage import Stage

OPEN: Final = "SELECT state, count(*) FROM amends_inbox WHERE state <> 'DONE' GROUP BY state"
UNSENT: Final = "SELECT count(*) FROM amends_outbox WHERE sent_at IS NULL"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found at one moment."""

    end: int
    """The place of the last event on the bus."""
    undelivered: int
    """Events that a consumer has not been sent yet, or has not settled."""
    unsent: Mapping[str, int] = field(default_factory=dict)
    """Events in outboxes, by service."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Events that are to be tried again, by service."""
    parked: Mapping[str, int] = field(default_factory=dict)
    """Events that wait for others, by service."""
    dead: Mapping[str, int] = field(default_factory=dict)
    """Events that need help, by service."""

    @property
    def is_quiet(self) -> bool:
        """Whether nobody will do anything by itself."""
        return not self.undelivered and not self.unsent and not self.waiting

    def __str__(self) -> str:
        """Says what is left."""
        found = {name: value for name, value in vars(self).items() if value and name != "end"}
        return ", ".join(f"{name} {value}" for name, value in found.items())


async def look(stage: Stage) -> Look:
    """Looks at all stores, and then at the bus: what an event leads to is in a store before it is settled.

    Raises:
        BusUnavailableError: the bus does not answer.
    """
    counts: dict[str, dict[str, int]] = {"unsent": {}, "WAITING": {}, "PARKED": {}, "DEAD": {}}
    for service in SERVICES:
        with closing(reading(stage.store(service))) as db:
            found = dict(db.execute(OPEN))
            (found["unsent"],) = db.execute(UNSENT).fetchone()
        for what, count in found.items():
            if count:
                counts[what][service] = count
    end, undelivered = await (_look_at_server(stage) if stage.plan.bus == "nats" else _look_at_file(stage))
    return Look(
        end=end,
        undelivered=undelivered,
        unsent=counts["unsent"],
        waiting=counts["WAITING"],
        parked=counts["PARKED"],
        dead=counts["DEAD"],
    )


def reading(path: Path) -> sqlite3.Connection:
    """Opens a file that others write to, in one transaction that sees one moment of it."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    db.execute("BEGIN")
    return db


async def _look_at_file(stage: Stage) -> tuple[int, int]:
    with closing(reading(stage.store(BUS))) as db:
        (end,) = db.execute("SELECT coalesce(max(sequence), 0) FROM messages").fetchone()
        (open_,) = db.execute("SELECT count(*) FROM deliveries").fetchone()
        (behind,) = db.execute("SELECT coalesce(sum(? - position), 0) FROM consumers", (end,)).fetchone()
    return end, open_ + behind


async def _look_at_server(stage: Stage) -> tuple[int, int]:
    try:
        client = await nats.connect(
            stage.bus_url(), allow_reconnect=False, connect_timeout=2, error_cb=_say_nothing
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailableError(str(error)) from error

    async def ask(call: str, **request: int) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            (await client.request(f"$JS.API.{call}.AMENDS", json.dumps(request).encode(), timeout=5)).data
        )
        if "error" in answer:
            raise BusUnavailableError(str(answer["error"]))
        return answer

    try:
        consumers: list[dict[str, Any]] = []
        page = await ask("CONSUMER.LIST", offset=0)
        while page["consumers"]:
            consumers += page["consumers"]
            page = await ask("CONSUMER.LIST", offset=len(consumers))
        end: int = (await ask("STREAM.INFO"))["state"]["last_seq"]
    except (nats.errors.Error, TimeoutError) as error:
        raise BusUnavailableError(str(error)) from error
    finally:
        await client.close()
    # What a tracker that was killed has read from stays for a while, and nobody waits for it.
    durable = [each for each in consumers if each["config"].get("durable_name")]
    return end, sum(each["num_pending"] + each["num_ack_pending"] for each in durable)


async def _say_nothing(_error: Exception) -> None:
    """Stands for the library's own word on standard error: what fails is raised as well."""
