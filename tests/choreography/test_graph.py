"""The graph that the reactions of all services form, and what is said of it."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import BusError, BusUnavailableError
from amends._choreography import membership
from amends._choreography.graph import faults_of
from amends._choreography.membership import Membership
from amends.v1.choreography_pb2 import CompensationDescription, ReactionDescription, ServiceDescription
from amends.v1.saga_pb2 import Step
from tests.choreography.shop import SERVICES, Shop


def reaction(
    step: str,
    on: str = "",
    *,
    emits: tuple[str, ...] = (),
    undone_on: Mapping[str, tuple[str, ...]] | None = None,
    kind: Any = Step.COMPENSATABLE,
    **fields: Any,
) -> ReactionDescription:
    undoing = [CompensationDescription(on=name, emits=told) for name, told in (undone_on or {}).items()]
    return ReactionDescription(step=step, on=on, emits=emits, compensations=undoing, kind=kind, **fields)


def service(name: str, *reactions: ReactionDescription) -> ServiceDescription:
    return ServiceDescription(service=name, reactions=reactions)


SHOP = service("shop", reaction("place", emits=("Placed",), undone_on={"Failed": ()}))
BANK = service("bank", reaction("charge", "Placed", emits=("Charged",), fails_as="Failed", kind=Step.PIVOT))


def test_nothing_is_said_of_a_graph_that_is_whole(tmp_path: Path) -> None:
    shop = Shop(bus=f"sqlite:///{tmp_path}/bus.db", folder=tmp_path)
    whole = [shop.make(name).describe() for name in SERVICES]
    assert [fault for name in SERVICES for fault in faults_of(whole, of=name)] == []


def test_an_event_that_nobody_hears_is_told() -> None:
    assert faults_of([SHOP], of="shop") == ["shop.place emits Placed, and no known service reacts to that"]


def test_a_failure_that_nobody_hears_is_told() -> None:
    told = faults_of([BANK], of="bank")
    assert told == ["bank.charge fails as Failed, and no known service reacts to that"]


def test_the_last_events_of_a_saga_need_no_listener() -> None:
    last = service(
        "mail",
        reaction("send", "Charged", emits=("Sent",), kind=Step.RETRIABLE),
        reaction("look", "Charged", emits=("Seen",), effect_free=True),
    )
    assert faults_of([last], of="mail") == []


def test_events_that_lead_to_each_other_for_ever_are_told_to_those_who_emit_them() -> None:
    ping = service("ping", reaction("hit", "Pong", emits=("Ping",), effect_free=True))
    pong = service("pong", reaction("return", "Ping", emits=("Pong",), effect_free=True))
    [told] = faults_of([ping, pong, SHOP, BANK], of="ping")
    assert told.startswith("events lead to each other in a circle: P")
    assert faults_of([ping, pong, SHOP, BANK], of="bank") == []


def test_compensations_that_lead_to_each_other_are_a_circle_too() -> None:
    first = reaction("a", "Placed", undone_on={"Undone": ("Failed",)})
    second = reaction("b", "Placed", undone_on={"Failed": ("Undone",)})
    [told] = faults_of([service("both", first, second)], of="both")
    assert "in a circle" in told


def test_a_step_that_stays_when_a_later_one_fails_is_told_to_both() -> None:
    kept = service("shop", reaction("place", emits=("Placed",), undone_on={"Other": ()}))
    fault = (
        "shop.place is not undone when bank.charge fails as Failed: give it a compensation on that event, "
        "or on one that follows from it"
    )
    assert fault in faults_of([kept, BANK], of="shop")
    assert fault in faults_of([kept, BANK], of="bank")
    assert (
        faults_of([kept, BANK, service("mail", reaction("send", "Charged", kind=Step.RETRIABLE))], of="mail")
        == []
    )


def test_a_step_may_be_undone_by_what_follows_from_a_failure() -> None:
    first = service("shop", reaction("place", emits=("Placed",), undone_on={"Released": ()}))
    second = service(
        "stock", reaction("reserve", "Placed", emits=("Reserved",), undone_on={"Failed": ("Released",)})
    )
    bank = service("bank", reaction("charge", "Reserved", fails_as="Failed", kind=Step.PIVOT))
    assert [
        fault for name in ("shop", "stock", "bank") for fault in faults_of([first, second, bank], of=name)
    ] == []


def test_a_step_that_can_fail_behind_a_pivot_is_told() -> None:
    late = service("ship", reaction("ship", "Charged", fails_as="Failed", effect_free=True))
    told = faults_of([SHOP, BANK, late], of="ship")
    assert told == [
        "ship.ship comes after the pivot bank.charge and can fail: after that there is no way back"
    ]


def test_events_of_which_several_services_tell_are_followed_through_all_of_them() -> None:
    other = service("web", reaction("place", emits=("Placed",), undone_on={"Nothing": ()}))
    assert any("web.place is not undone" in each for each in faults_of([SHOP, other, BANK], of="web"))


class FakeBus:
    """Knows who is there."""

    def __init__(self, **services: bytes) -> None:
        self.services = services
        self.claims: list[tuple[str, str]] = []
        self.fault: Exception | None = None
        self.has_announced = asyncio.Event()
        self.was_asked = False
        self.has_answered = asyncio.Event()
        """Set by the claim after the answer, when whoever asked has read it."""

    async def claim(self, service: str, owner: str, seconds: float) -> None:
        if self.was_asked:
            self.has_answered.set()
        self.claims.append((service, owner))
        if self.fault is not None:
            raise self.fault

    async def announce(self, service: str, description: bytes) -> None:
        self.services[service] = description
        self.has_announced.set()

    async def announced(self) -> Mapping[str, bytes]:
        self.was_asked = True
        return self.services


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "RENEW_S", 0.001)


async def test_a_name_is_kept_until_another_has_it(soon: None, caplog: pytest.LogCaptureFixture) -> None:
    bus, kept = FakeBus(odd=b"\xff"), Membership(SHOP)
    await kept.begin(bus, "me")  # type: ignore[arg-type]
    assert ServiceDescription.FromString(bus.services["shop"]).reactions == SHOP.reactions
    running = asyncio.create_task(kept.run(bus))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await bus.has_answered.wait()
    assert "no known service reacts" in caplog.text
    assert "the description of service 'odd' cannot be read" in caplog.text
    bus.fault = BusError("the name is used by another")
    with pytest.raises(BusError, match="used by another"):
        await running
    assert set(bus.claims) == {("shop", "me")}
    assert [each.levelno for each in caplog.records] == [logging.WARNING] * 2


async def test_a_bus_that_is_away_takes_no_name_from_anybody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bus, kept, waits = FakeBus(), Membership(SHOP), []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            bus.fault = None
        await real_sleep(0)

    monkeypatch.setattr(membership.asyncio, "sleep", sleep)
    bus.fault = BusUnavailableError("it is away")
    await kept.begin(bus, "me")  # type: ignore[arg-type]
    assert bus.services == {}
    running = asyncio.create_task(kept.run(bus))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await bus.has_announced.wait()
    running.cancel()
    assert waits[:3] == [1.0] * 3
