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
from sample_services.inventory.reactions import inventory
from sample_services.orders.reactions import orders
from sample_services.payments.reactions import payments
from sample_services.shipping.reactions import shipping
from sample_services.turnstile import Turnstile
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


def every_fault(*services: ServiceDescription) -> set[str]:
    return {fault for each in services for fault in faults_of(services, of=each.service)}


def test_nothing_is_said_of_the_sample_services(tmp_path: Path) -> None:
    bus, stores = f"sqlite:///{tmp_path}/bus.db", f"sqlite:///{tmp_path}/"
    samples = [
        orders(bus, stores + "orders.db").service,
        inventory(bus, stores + "inventory.db"),
        payments(bus, stores + "payments.db", Turnstile()),
        shipping(bus, stores + "shipping.db"),
    ]
    assert every_fault(*(each.describe() for each in samples)) == set()


def test_a_step_may_be_undone_by_an_event_that_a_reaction_to_the_failure_emits() -> None:
    """One service makes one fact of many failures, and the others undo on that."""
    shop = service(
        "shop",
        reaction("place", emits=("Placed",), undone_on={"Cancelled": ()}),
        reaction("cancel", "Failed", emits=("Cancelled",), effect_free=True),
    )
    assert every_fault(shop, BANK) == set()


def test_a_step_that_can_fail_beside_a_pivot_is_told_to_both() -> None:
    """Both react to the same event, so that one may fail when the other has succeeded."""
    shop = service("shop", reaction("place", emits=("Placed",), undone_on={"Failed": (), "Refused": ()}))
    stock = service(
        "stock", reaction("reserve", "Placed", undone_on={"Failed": ()}, fails_as="Refused", emits=("Kept",))
    )
    told = (
        "stock.reserve runs beside the pivot bank.charge and can fail after that has succeeded, when there "
        "is no way back: let the pivot come after it"
    )
    graph = [shop, stock, BANK]
    assert told in faults_of(graph, of="stock")
    assert faults_of(graph, of="bank") == [told]
    assert faults_of(graph, of="shop") == []


def test_a_step_that_can_fail_further_down_beside_a_pivot_is_told_too() -> None:
    shop = service("shop", reaction("place", emits=("Placed",), undone_on={"Failed": (), "Refused": ()}))
    risk = service("risk", reaction("look", "Placed", emits=("Seen",), effect_free=True))
    stock = service("stock", reaction("reserve", "Seen", effect_free=True, fails_as="Refused"))
    [told] = faults_of([shop, risk, stock, BANK], of="stock")
    assert told.startswith("stock.reserve runs beside the pivot bank.charge and can fail")


def test_steps_that_all_come_before_a_pivot_may_fail_side_by_side() -> None:
    """A service that waits for both emits the event that the pivot reacts to."""
    undone = {"Failed": (), "Refused": (), "Doubted": ()}
    shop = service("shop", reaction("place", emits=("Placed",), undone_on=undone))
    stock = service(
        "stock", reaction("reserve", "Placed", emits=("Kept",), fails_as="Refused", undone_on=undone)
    )
    risk = service("risk", reaction("look", "Placed", emits=("Seen",), fails_as="Doubted", effect_free=True))
    both = service(
        "both",
        reaction("kept", "Kept", emits=("Ready",), effect_free=True),
        reaction("seen", "Seen", emits=("Ready",), effect_free=True),
    )
    bank = service("bank", reaction("charge", "Ready", fails_as="Failed", kind=Step.PIVOT))
    assert every_fault(shop, stock, risk, both, bank) == set()


def test_ways_that_may_exclude_each_other_may_each_have_a_pivot() -> None:
    """A card or cash: what the one fails as undoes what both began with."""
    undone = {"CardFailed": (), "CashFailed": ()}
    shop = service("shop", reaction("place", emits=("ByCard", "ByCash"), undone_on=undone))
    card = service("card", reaction("charge", "ByCard", fails_as="CardFailed", kind=Step.PIVOT))
    cash = service("cash", reaction("collect", "ByCash", fails_as="CashFailed", kind=Step.PIVOT))
    assert every_fault(shop, card, cash) == set()


STILL_UNDONE = (
    "shop.place can still be undone by Cancelled after the pivot bank.charge has succeeded: "
    "have Cancelled decided by bank, or by a step that comes before the pivot"
)
CANCELLED_SHOP = reaction("place", emits=("Placed",), undone_on={"Failed": (), "Cancelled": ()})


def test_an_event_from_elsewhere_that_undoes_what_comes_before_a_pivot_is_told_to_both() -> None:
    """It may come when the pivot has succeeded."""
    graph = [service("shop", CANCELLED_SHOP), BANK]
    assert faults_of(graph, of="shop") == faults_of(graph, of="bank") == [STILL_UNDONE]


def test_an_event_that_another_service_decides_is_told_likewise() -> None:
    cancelling = reaction("cancel", "CancelAsked", emits=("Cancelled",), kind=Step.RETRIABLE)
    assert every_fault(service("shop", CANCELLED_SHOP, cancelling), BANK) == {STILL_UNDONE}


def test_only_the_first_of_a_chain_of_compensations_is_told() -> None:
    """The others are mended with it."""
    shop = service("shop", CANCELLED_SHOP)
    stock = service(
        "stock", reaction("reserve", "Placed", emits=("Kept",), undone_on={"Failed": (), "Withdrawn": ()})
    )
    chained = service("shop", reaction("place", emits=("Placed",), undone_on={"Cancelled": ("Withdrawn",)}))
    assert faults_of([shop, BANK], of="bank") == [STILL_UNDONE]
    [kept, told] = faults_of([chained, stock, BANK], of="bank")
    assert kept.startswith("shop.place is not undone when bank.charge fails")
    assert told == STILL_UNDONE


def test_an_event_that_follows_from_the_success_of_a_pivot_must_not_undo_what_came_before() -> None:
    late = service("mail", reaction("send", "Charged", emits=("Cancelled",), kind=Step.RETRIABLE))
    assert every_fault(service("shop", CANCELLED_SHOP), BANK, late) == {STILL_UNDONE}


def test_an_event_that_the_service_of_the_pivot_decides_may_undo_what_comes_before() -> None:
    """It knows whether the pivot has succeeded."""
    bank = service(
        "bank",
        *BANK.reactions,
        reaction("decide", "CancelAsked", emits=("Cancelled",), kind=Step.RETRIABLE),
    )
    assert every_fault(service("shop", CANCELLED_SHOP), bank) == set()


def test_a_step_before_the_pivot_may_decide_between_two_events() -> None:
    stock = service("stock", reaction("reserve", "Placed", emits=("Kept", "Cancelled"), effect_free=True))
    bank = service("bank", reaction("charge", "Kept", fails_as="Failed", kind=Step.PIVOT))
    assert every_fault(service("shop", CANCELLED_SHOP), stock, bank) == set()


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
