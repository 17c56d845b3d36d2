"""A tracker follows a real bus into a real store."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import BusUnavailableError, Message
from amends._bus.opening import bus_at
from amends.v1 import saga_pb2
from amends.v1.choreography_pb2 import ServiceDescription
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.core.transitions import SagaState, TrackedState
from amends_coordinator.store import SqliteStore
from amends_coordinator.store.interface import Cursor, Filter, StoreUnavailableError
from amends_coordinator.tracker import follower, ledger
from amends_coordinator.tracker.patience import in_words
from amends_coordinator.tracker.tracker import COMPLAINT_INTERVAL
from tests.tracker.conftest import PATIENCE_S, RETENTION, STALL_AFTER, World
from tests.tracker.shop import NOW, SERVICES, Story, announce


def running(saga_id: str = "order-1") -> Story:
    """The order was placed, and the stock is to be reserved."""
    story = Story(saga_id)
    story.tell("OrderPlaced", "orders.place")
    return story


async def test_a_saga_is_shown_with_its_steps_causes_state_and_trace(world: World) -> None:
    await world.tell(Story().completed())
    saga = await world.get()
    assert saga.state == saga_pb2.Saga.COMPLETED
    assert saga.definition.name == "orders.place"
    assert [(run.step, saga_pb2.StepRun.State.Name(run.state)) for run in saga.steps] == [
        ("orders.place", "SUCCEEDED"),
        ("inventory.reserve", "SUCCEEDED"),
        ("payments.charge", "SUCCEEDED"),
        ("shipping.ship", "SUCCEEDED"),
    ]
    assert [run.cause.type for run in saga.steps] == ["", "OrderPlaced", "StockReserved", "PaymentTaken"]
    assert saga.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c")
    assert saga.choreography.heard_time.seconds == int(world.time)


async def test_its_history_tells_what_was_heard_and_what_was_concluded(world: World) -> None:
    await world.tell(Story().compensated())
    assert await world.kinds() == [
        "saga_started",
        "event_observed",
        "event_observed",
        "event_observed",
        "compensation_started",
        "event_observed",
        "event_observed",
        "saga_compensated",
    ]
    events = await world.history()
    assert [event.sequence for event in events] == list(range(1, 9))
    assert {event.saga_id for event in events} == {"order-1"}
    assert events[5].event_observed.cause.type == "PaymentFailed"
    assert events[4].compensation_started.turn_back.step == "payments.charge"


async def test_nothing_is_known_of_another_saga(world: World) -> None:
    assert await world.tracker.get("order-2") is None
    assert await world.kinds("order-2") == []


async def test_a_restart_goes_on_exactly_where_it_was(world: World) -> None:
    story = Story().compensated()
    await world.publish(*story.messages()[:3])
    await world.stop()
    await world.bus.publish(story.messages(3))
    await world.start()
    await world.until_taken(5)
    assert await world.state() == "COMPENSATED"
    assert [event.sequence for event in await world.history()] == list(range(1, 9))


async def test_a_restart_reads_nothing_twice(world: World) -> None:
    await world.tell(Story().completed())
    await world.stop()
    await world.start()
    await world.tell(Story("order-2").completed())
    assert world.tracker.counts.events == 4


async def test_a_bus_that_was_begun_anew_is_read_from_its_beginning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.tell(Story().completed())
    await world.close()
    for file in world.folder.glob("bus.db*"):
        file.unlink()
    await world.open()
    await announce(world.bus)
    await world.tell(Story("order-2").completed())
    assert await world.state("order-2") == "COMPLETED"
    assert "it is read from its beginning" in caplog.text


async def test_what_is_read_twice_is_heard_once(world: World) -> None:
    """A relay may publish an event again long after, when the bus has forgotten its id."""
    story = Story().completed()
    await world.tell(story)
    again = [
        Message(
            id=f"{each.id}-again", key=each.key, subject=each.subject, headers=each.headers, data=each.data
        )
        for each in story.messages()
    ]
    before = await world.history()
    await world.publish(*again)
    assert await world.history() == before


async def test_who_announces_itself_only_now_is_asked_before_its_event_is_judged(quiet: World) -> None:
    """Its own event has the tracker look; the saga is not thought to have ended."""
    await announce(quiet.bus)
    await quiet.tell(running())
    assert await quiet.state() == "RUNNING"
    assert await quiet.kinds() == ["saga_started", "event_observed"]


async def test_who_never_announces_anything_is_asked_once(
    quiet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    announced = quiet.bus.announced

    async def counted() -> Any:
        nonlocal looks
        looks += 1
        return await announced()

    story = running()
    await quiet.tell(story)
    monkeypatch.setattr(quiet.bus, "announced", counted)
    for number in range(3):
        await quiet.tell(running(f"order-{number + 2}"))
    assert looks == 0


async def test_an_announcement_puts_unfinished_sagas_right(world: World) -> None:
    """Shipping declares that it reacts to nothing any more, and is waited for no longer."""
    story = Story(events=Story().completed().events[:3])
    await world.tell(story)
    assert await world.state() == "RUNNING"
    await world.bus.announce("shipping", b"")
    await world.tracker.follower.look_at_services()
    assert await world.state() == "COMPLETED"


async def test_many_unfinished_sagas_are_judged_anew_page_by_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PAGE", 2)
    for number in range(5):
        await world.tell(running(f"order-{number}"))
    for name in SERVICES:
        await world.bus.announce(name, b"")
    await world.tracker.follower.look_at_services()
    assert len(await world.listed(states=[SagaState.COMPLETED])) == 5


async def test_messages_that_are_no_events_are_left_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """One line tells of a page of them. Events of no saga are none of ours either."""
    bare = Message(id="x/1", key="", subject="odd", headers={}, data=b"\xff")
    foreign = Story("").tell("Ticked", source="clock").to_message()
    await world.publish(bare, foreign, *Story().completed().messages())
    assert await world.state() == "COMPLETED"
    assert (world.tracker.counts.malformed, world.tracker.counts.events) == (1, 4)
    assert "1 messages are no events, the first of them x/1: the header ce-id is missing" in caplog.text


async def test_a_bus_that_goes_away_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amends_coordinator.tracker.tracker.TROUBLE_DELAY", 0.01)
    await world.stop()
    world.bus.away = True
    await world.start()
    await world.bus.publish(running().messages())
    with pytest.raises(Exception, match="the bus is away"):
        await world.tracker.follower.look_at_services()
    world.bus.away = False
    await world.until_taken(1)
    assert await world.state() == "RUNNING"


async def test_a_store_that_fails_has_the_events_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not written is not in memory either."""
    await world.tell(running())
    write = world.store.tracking.write
    failed = asyncio.Event()

    async def full(*arguments: Any) -> None:
        failed.set()
        monkeypatch.setattr(world.store.tracking, "write", write)
        raise StoreUnavailableError("the disk is full")

    monkeypatch.setattr(world.store.tracking, "write", full)
    story = Story().completed()
    await world.publish(*story.messages(1))
    assert failed.is_set()
    assert "the tracker waits: the disk is full" in caplog.text
    assert await world.kinds() == ["saga_started", *["event_observed"] * 4, "saga_completed"]


async def test_an_outage_that_lasts_is_complained_of_now_and_then(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def complaints() -> int:
        return sum(getattr(record, "action", "") == "bus_unavailable" for record in caplog.records)

    away = BusUnavailableError("the bus is away")
    for _ in range(3):
        world.tracker._complain(away, "bus_unavailable")
    assert complaints() == 1
    world.time += COMPLAINT_INTERVAL
    world.tracker._complain(away, "bus_unavailable")
    assert complaints() == 2


async def test_a_mistake_of_ours_does_not_end_the_daemon(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hear = ledger.hear

    def broken(*arguments: Any) -> None:
        monkeypatch.setattr(ledger, "hear", hear)
        raise AssertionError("a mistake")

    monkeypatch.setattr(ledger, "hear", broken)
    await world.tell(running())
    assert "the tracker failed, and tries again" in caplog.text
    assert await world.state() == "RUNNING"


# Stalling


async def test_silence_stalls_a_saga_and_the_next_event_has_it_go_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    story = Story().completed()
    await world.publish(*story.messages()[:2])
    world.time += STALL_AFTER - 1
    await world.tracker.sweep()
    assert await world.state() == "RUNNING"
    world.time += 1
    await world.tracker.sweep()
    saga = await world.get()
    assert saga.state == saga_pb2.Saga.STALLED
    assert saga.needs_attention == "payments has not reacted to StockReserved for 5 minutes"
    assert await world.listed(needs_attention=True) == ["order-1"]
    assert await world.listed(stalled=True) == ["order-1"]
    stalled = [record for record in caplog.records if getattr(record, "action", "") == "saga_stalled"]
    assert [getattr(record, "saga_id", "") for record in stalled] == ["order-1"]
    await world.publish(*story.messages(2))
    assert await world.state() == "COMPLETED"
    assert await world.kinds() == [
        "saga_started",
        "event_observed",
        "event_observed",
        "saga_stalled",
        "event_observed",
        "event_observed",
        "saga_completed",
    ]
    assert world.tracker.counts.stalled == 1


async def test_a_saga_that_turns_back_after_its_pivot_is_never_shown_as_compensated(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is listed, counted and logged, stays so over a restart, and needs somebody at once."""
    shipping = ServiceDescription.FromString(SERVICES["shipping"])
    shipping.reactions[0].kind = saga_pb2.Step.PIVOT
    await world.bus.announce("shipping", shipping.SerializeToString())
    await world.tracker.follower.look_at_services()
    story = Story().completed()
    story.tell("PaymentFailed", source="web")
    story.tell("StockReleased", "inventory.reserve", "compensated")
    story.tell("OrderCancelled", "orders.place", "compensated")
    await world.publish(*story.messages()[:4])
    await world.publish(story.messages()[4])
    passed = "turned back although shipping.ship, its pivot, succeeded"
    assert f"saga order-1 has stalled: {passed}" in caplog.text
    await world.stop()
    await world.start()
    await world.publish(*story.messages(5))
    assert (await world.state(), (await world.get()).needs_attention) == ("STALLED", passed)
    assert await world.listed(needs_attention=True) == ["order-1"]
    assert (await world.kinds())[5:] == [
        "saga_completed",
        "event_observed",
        "compensation_started",
        "saga_stalled",
        "event_observed",
        "event_observed",
    ]
    await world.tracker.survey()
    assert world.tracker.counts.census == {TrackedState.STALLED: 1}


async def test_silence_counts_only_while_somebody_listens(world: World) -> None:
    """After a day's pause of ours, the services get their time again."""
    await world.tell(running())
    await world.stop()
    world.time += 86_400
    await world.start()
    await world.tell(running("order-2"))
    await world.tracker.sweep()
    assert await world.state() == "RUNNING"
    world.time += STALL_AFTER
    await world.tracker.sweep()
    assert await world.state() == await world.state("order-2") == "STALLED"


async def test_a_saga_that_stalled_stays_so_over_a_restart(world: World) -> None:
    await world.tell(running())
    world.time += STALL_AFTER
    await world.tracker.sweep()
    await world.stop()
    await world.start()
    await world.tell(running("order-2"))
    assert await world.state() == "STALLED"
    assert (await world.kinds())[-1] == "saga_stalled"


async def test_a_dead_letter_is_counted_and_stalls_its_saga(world: World) -> None:
    story = running()
    story.dead(story.events[0], "inventory", "reserve")
    await world.tell(story)
    astray = Story("")
    astray.dead(astray.tell("Ticked", source="clock"), "inventory", "", "MISSING_SAGA_ID")
    await world.tell(astray)
    assert await world.state() == "STALLED"
    assert world.tracker.counts.dead_letters == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (90, "90 seconds"), (300, "5 minutes"), (7_200, "2 hours"), (172_800, "2 days")],
)
def test_a_patience_is_said_in_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


# Keeping


async def test_memory_is_bounded_and_the_store_has_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "OBSERVATIONS_MAX", 3)
    stories = [Story(f"order-{number}").completed() for number in range(4)]
    for place in range(4):
        for story in stories:
            await world.publish(story.messages()[place])
    assert [await world.state(story.saga_id) for story in stories] == ["COMPLETED"] * 4
    assert world.tracker._ledger._observations <= 4


async def test_what_ended_is_removed_after_its_retention(world: World) -> None:
    await world.tell(Story().completed())
    await world.tell(running("order-2"))
    world.time = NOW + RETENTION + 4
    await world.tracker.remove_ended()
    assert await world.listed() == ["order-2"]
    assert await world.history() == []


async def test_a_saga_that_is_heard_of_after_its_removal_begins_anew(world: World) -> None:
    """Its memory went with it; what comes later has a history of its own, without gaps."""
    story = Story().completed()
    await world.tell(story)
    world.time = NOW + RETENTION + 4
    await world.tracker.remove_ended()
    for number in range(2):
        story.tell("ShipmentSeen", source=f"carrier-{number}")
        await world.publish(*story.messages(-1))
    assert [event.sequence for event in await world.history()] == [1, 2, 3, 4]
    assert await world.state() == "COMPLETED"


async def test_unfinished_sagas_are_counted_by_state(world: World) -> None:
    await world.tell(running())
    await world.tell(Story("order-2").completed())
    await world.tracker.survey()
    assert world.tracker.counts.census == {TrackedState.RUNNING: 1}
    metrics = {metric.name: metric for metric in world.tracker.counts.collect()}
    unfinished = metrics["amends_choreographed_sagas_unfinished"].samples
    assert {sample.labels["state"]: sample.value for sample in unfinished} == {
        "running": 1,
        "compensating": 0,
        "stalled": 0,
    }


async def test_a_log_that_cannot_be_read_holds_up_no_other_saga(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.tell(running())
    await world.stop()
    with closing(sqlite3.connect(world.folder / "amends.db")) as connection, connection:
        connection.execute("UPDATE tracked_events SET data = x'ff' WHERE sequence = 2")
    await world.start()
    story = Story().completed()
    await world.publish(*story.messages(1), *Story("order-2").completed().messages())
    assert await world.state("order-2") == "COMPLETED"
    assert "saga order-1: event 2 cannot be read" in caplog.text
    with pytest.raises(BrokenLogError):
        await world.tracker.get("order-1")
    world.time += STALL_AFTER
    await world.tracker.sweep()


# Asking


async def test_lists_meet_every_condition(world: World) -> None:
    await world.tell(Story("a").completed())
    await world.tell(Story("b").compensated())
    await world.tell(running("c"))
    story = Story("d")
    story.tell("Ticked", source="clock", time=NOW + 9)
    await world.tell(story)
    assert await world.listed() == ["d", "c", "b", "a"]
    assert await world.listed(states=[SagaState.COMPLETED]) == ["d", "a"]
    assert await world.listed(states=[SagaState.PARKED]) == []
    assert await world.listed(definition_name="orders.place") == ["c", "b", "a"]
    assert await world.listed(definition_name="orders.place", states=[SagaState.RUNNING]) == ["c"]
    assert await world.listed(created_from=NOW + 5) == ["d"]
    assert await world.listed(created_before=NOW + 5) == ["c", "b", "a"]
    assert await world.listed(labels={"city": "Rome"}) == []
    assert await world.listed(needs_attention=True) == []
    page = await world.tracker.list_rows(Filter(), Cursor(NOW, "c"), 1)
    assert [row.id for row in page] == ["b"]


async def test_a_watcher_is_told_as_it_happens_until_the_end(world: World) -> None:
    story = Story().completed()
    await world.publish(*story.messages()[:1])
    told: list[str | None] = []
    begun = asyncio.Event()

    async def watch() -> None:
        async for event in world.tracker.watch("order-1", 1, live=True):
            told.append(event.WhichOneof("fact"))
            begun.set()

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(PATIENCE_S):
        await begun.wait()
        await world.publish(*story.messages(1))
        await watching
    assert told == [*["event_observed"] * 4, "saga_completed"]
    assert not world.tracker._watchers
    assert repr(world.tracker) == f"<Tracker of {world.bus.url}>"


async def test_a_bus_with_many_events_at_the_first_start_is_read_in_pages(tmp_path: Path) -> None:
    world = World(tmp_path)
    bus = bus_at(world.url)
    await bus.open()
    await announce(bus)
    count = 5 * follower.PAGE
    for number in range(0, count, 250):
        stories = [Story(f"order-{number + each}").completed() for each in range(250)]
        await bus.publish([message for story in stories for message in story.messages()])
    await bus.close()
    await world.open()
    await world.until_taken(4 * count)
    assert len(await world.tracker.list_rows(Filter(states=[SagaState.COMPLETED]), None, 10_000)) == count
    await world.close()


async def test_a_position_is_kept_for_each_bus(sqlite_store: SqliteStore) -> None:
    tracking = sqlite_store.tracking
    assert await tracking.read_position("sqlite:///a.db") is None
    position = follower.Position(sequence=7, message_id="x/1")
    await tracking.write("sqlite:///a.db", position, [])
    assert await tracking.read_position("sqlite:///a.db") == position
    assert await tracking.read_position("sqlite:///b.db") is None
