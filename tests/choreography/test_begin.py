"""How a saga begins: by a call that may be repeated."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from amends.choreography import Begun, EventContext, EventService, Reaction, Rejected
from amends.errors import Fault, UsageError
from amends.testing import EventTester
from tests.promises.ledgers import rows


@dataclass
class Order:
    pieces: int


@dataclass
class Placed:
    pieces: int


@dataclass
class Failed:
    reason: str


class StumbledError(Exception):
    pass


@pytest.fixture
def orders(tmp_path: Path) -> EventService:
    return EventService(
        "orders",
        bus=f"sqlite:///{tmp_path / 'bus.db'}",
        store=f"sqlite:///{tmp_path / 'orders.db'}",
        schema="CREATE TABLE IF NOT EXISTS placed (pieces INTEGER CHECK (pieces <> 13));",
    )


@pytest.fixture
def place(orders: EventService) -> Reaction[Order, Placed]:
    @orders.entry()
    def place(order: Order, ctx: EventContext) -> Placed:
        assert ctx.trigger is None
        assert ctx.event_id == ""
        ctx.db.execute("INSERT OR ROLLBACK INTO placed VALUES (?)", (order.pieces,))
        if order.pieces == 0:
            raise Rejected("NOTHING", "an order of nothing", {"pieces": "0"})
        if order.pieces < 0:
            raise StumbledError(order.pieces)
        return Placed(order.pieces)

    @place.compensate_on(Failed)
    def withdraw(order: Order, placed: Placed | None, ctx: EventContext) -> None: ...

    return place


@pytest.fixture
async def tester(orders: EventService, place: Reaction[Order, Placed]) -> AsyncIterator[EventTester]:
    async with EventTester(orders) as made:
        yield made


Place = Reaction[Order, Placed]


async def test_a_saga_that_began_is_told_to_the_caller_and_to_the_world(
    tester: EventTester, place: Place
) -> None:
    begun, told = await tester.begin(place, Order(2), saga_id="s")
    assert begun == Begun("s", Placed(2), repeated=False)
    [emitted] = told.emitted
    assert (emitted.saga_id, emitted.cause, emitted.outcome) == ("s", "", "succeeded")


async def test_the_same_call_again_does_nothing_and_returns_the_same(
    tester: EventTester, place: Place, tmp_path: Path
) -> None:
    await tester.begin(place, Order(2), saga_id="s")
    begun, told = await tester.begin(place, Order(2), saga_id="s")
    assert begun == Begun("s", Placed(2), repeated=True)
    assert told.emitted == ()
    assert rows(tmp_path / "orders.db", "SELECT count(*) FROM placed") == [(1,)]


async def test_an_id_that_was_used_for_something_else_is_refused(tester: EventTester, place: Place) -> None:
    await tester.begin(place, Order(2), saga_id="s")
    with pytest.raises(Fault) as told:
        await tester.begin(place, Order(3), saga_id="s")
    assert told.value.reason == "KEY_REUSED"


async def test_without_an_id_every_call_is_a_saga_of_its_own(orders: EventService, place: Place) -> None:
    async with EventTester(orders):
        one, other = [await orders.begin(place, Order(2)) for _ in range(2)]
    assert one.saga_id != other.saga_id


async def test_a_rejection_is_the_callers_and_stays_what_it_was(
    tester: EventTester, place: Place, tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(Rejected) as told:
            await tester.begin(place, Order(0), saga_id="s")
        assert (told.value.reason, told.value.metadata) == ("NOTHING", {"pieces": "0"})
    assert rows(tmp_path / "orders.db", "SELECT count(*) FROM placed") == [(0,)]
    assert rows(tmp_path / "orders.db", "SELECT count(*) FROM amends_outbox") == [(0,)]


async def test_a_rejection_with_an_event_is_told_to_the_world_too(
    orders: EventService, tmp_path: Path
) -> None:
    @orders.entry(fails_as=Failed, effect_free=True)
    def place(order: Order, ctx: EventContext) -> None:
        raise Rejected("NOTHING")

    async with EventTester(orders) as tester:
        with pytest.raises(Rejected):
            await tester.begin(place, Order(1))
    assert rows(tmp_path / "orders.db", "SELECT subject FROM amends_outbox") == [("Failed",)]


async def test_whatever_else_the_handler_raises_is_the_callers_and_leaves_nothing(
    tester: EventTester, place: Place, tmp_path: Path
) -> None:
    with pytest.raises(StumbledError, match="-1"):
        await tester.begin(place, Order(-1), saga_id="s")
    assert rows(tmp_path / "orders.db", "SELECT count(*) FROM placed") == [(0,)]
    begun, _ = await tester.begin(place, Order(1), saga_id="s")
    assert not begun.repeated


async def test_a_handler_that_breaks_the_transaction_fails_its_own_call_alone(
    tester: EventTester, place: Place
) -> None:
    with pytest.raises(Fault) as told:
        await tester.begin(place, Order(13), saga_id="s")
    assert told.value.reason == "TRANSACTION_LOST"
    assert (await tester.begin(place, Order(1), saga_id="s"))[0].event == Placed(1)


async def test_p10_a_saga_that_has_failed_since_did_begin_all_the_same(
    tester: EventTester, place: Place
) -> None:
    await tester.begin(place, Order(1), saga_id="s")
    await tester.deliver(Failed("NO"), saga_id="s")
    begun, told = await tester.begin(place, Order(1), saga_id="s")
    assert begun == Begun("s", Placed(1), repeated=True)
    assert told.emitted == ()
    with pytest.raises(Fault) as reused:
        await tester.begin(place, Order(2), saga_id="s")
    assert reused.value.reason == "KEY_REUSED"


async def test_p5_a_saga_whose_failure_came_first_does_not_begin(tester: EventTester, place: Place) -> None:
    await tester.deliver(Failed("NO"), saga_id="s")
    with pytest.raises(Rejected) as told:
        await tester.begin(place, Order(1), saga_id="s")
    assert told.value.reason == "ALREADY_COMPENSATED"


async def test_an_entry_that_returns_nothing_gives_nothing(orders: EventService) -> None:
    @orders.entry(effect_free=True)
    async def look(order: Order, ctx: EventContext) -> None: ...

    async with EventTester(orders) as tester:
        begun, told = await tester.begin(look, Order(1))
        assert begun.event is None
        assert told.types == ["amends.v1.StepEnded"]


@pytest.mark.parametrize("saga", ["", "two words", "tab\there", "x" * 129])
async def test_an_id_of_another_form_is_refused(
    tester: EventTester, place: Place, orders: EventService, saga: str
) -> None:
    with pytest.raises(UsageError, match=r"saga_id (is missing|has)"):
        await orders.begin(place, Order(1), saga_id=saga)


async def test_only_entries_of_the_service_begin_sagas(orders: EventService, tmp_path: Path) -> None:
    @orders.on(Placed, effect_free=True)
    def react(placed: Placed, ctx: EventContext) -> None: ...

    other = EventService("other", bus=f"sqlite:///{tmp_path}/bus.db", store=f"sqlite:///{tmp_path}/other.db")

    @other.entry(effect_free=True)
    def begin(order: Order, ctx: EventContext) -> None: ...

    async with EventTester(orders):
        for entry, value in ((react, Placed(1)), (begin, Order(1))):
            with pytest.raises(UsageError, match="is no entry of service 'orders'"):
                await orders.begin(entry, value)  # type: ignore[arg-type]


async def test_a_service_that_is_not_open_begins_nothing(orders: EventService, place: Place) -> None:
    with pytest.raises(UsageError, match="service 'orders' is not open"):
        await orders.begin(place, Order(1))


async def test_a_service_is_open_once(orders: EventService, place: Place) -> None:
    async with EventTester(orders):
        with pytest.raises(UsageError, match="service 'orders' is open already"):
            await orders.open()
    await orders.stop()
