"""Events that cannot be dealt with: tried again, given up with a letter that says why, and sent again."""

import logging
from dataclasses import replace
from urllib.parse import quote

import pytest
from google.protobuf.message import Message as ProtoMessage

from amends._bus.interface import Bus, Message
from amends._bus.sqlite import SqliteBus
from amends._choreography.emission import size_of
from amends.choreography import Refused
from amends.errors import PayloadError
from amends.v1 import choreography_pb2
from tests.choreography.foreign import event, failed, placed, poison, with_headers
from tests.choreography.stage import Stage


async def dead_letter(stage: Stage, saga: str) -> choreography_pb2.DeadLetter:
    """Waits until an event of a saga is given up; returns what is said of it."""
    await stage.watch.until_dead(saga)
    [letter] = stage.watch.letters(saga)
    return letter


def again(letter: choreography_pb2.DeadLetter, saga: str, **headers: str) -> Message:
    """The event of a dead letter as `amends dead-letters replay` sends it: under a new id."""
    message = Message(
        id=f"again/{letter.event_id}",
        key=saga,
        subject=letter.subject,
        headers=dict(letter.headers),
        data=letter.data,
    )
    new_id = f"again-{letter.event_id.replace('/', '-')}"
    replayed = {"ce-id": new_id, "ce-replayof": quote(f"{letter.consumer}/{letter.event_id}")}
    return with_headers(message, replayed | headers)


def remedy(said: ProtoMessage, subject: str, saga: str) -> Message:
    """What an operator has decided about a dead event, told to who has it."""
    return replace(event(said, saga), subject=subject)


def room_on(bus: Bus) -> int:
    """What a bus still takes beside one of our events; a letter about it has no room for that."""
    return bus.max_bytes - size_of(placed("s", "refuse", "")) - 50


async def test_a_poison_payload(stage: Stage) -> None:
    await stage.start("inventory")
    await stage.publish(poison("s"))
    letter = await dead_letter(stage, "s")
    assert (letter.consumer, letter.reason, letter.step) == ("inventory", "UNDECODABLE", "reserve")
    assert (letter.data, letter.attempts) == (b"\xff\xff\xff", 1)
    assert await stage.violations() == []


async def test_a_handler_that_fails_some_times_and_then_succeeds(stage: Stage) -> None:
    await stage.start()
    await stage.place_both("fail:reserve:3", "fail:charge:2", "fail-undo:charge:3")
    await stage.both_end()
    assert await stage.violations() == []


async def test_a_handler_that_always_fails_while_others_flow(stage: Stage) -> None:
    await stage.start()
    await stage.place("stuck", "fail:charge:99")
    await stage.place_both()
    await stage.both_end()
    letter = await dead_letter(stage, "stuck")
    assert (letter.reason, letter.step, letter.attempts) == ("HANDLER_FAILED", "charge", 4)
    assert "raised StumbledError" in letter.message
    assert await stage.violations() == []


async def test_a_handler_that_breaks_its_transaction_while_others_flow(stage: Stage) -> None:
    """Whatever is tried together with it is tried again without it, and it counts as a failure of its own."""
    await stage.start()
    await stage.place("stuck", "break:reserve")
    await stage.place_both()
    await stage.both_end()
    letter = await dead_letter(stage, "stuck")
    assert (letter.consumer, letter.step, letter.attempts) == ("inventory", "reserve", 4)
    assert "broke the transaction" in letter.message
    assert await stage.violations() == []


async def test_a_failed_compensation_never_hides_and_the_others_go_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.start()
    await stage.place("s", "reject:ship", "refuse-undo:reserve")
    letter = await dead_letter(stage, "s")
    assert (letter.reason, letter.step) == ("REFUSED", "reserve")
    assert "it cannot be taken back" in letter.message
    await stage.watch.until_told("s", "orders.place compensated")
    assert any(each.levelno == logging.ERROR and "dead" in each.getMessage() for each in caplog.records)
    assert await stage.violations() == []


async def test_an_unknown_event_version(stage: Stage) -> None:
    await stage.start("inventory")
    newer = with_headers(placed("s"), {"ce-type": "shop.v2.OrderPlaced"})
    await stage.publish(newer, placed("s"), placed("other"))
    letter = await dead_letter(stage, "s")
    assert letter.reason == "UNKNOWN_VERSION"
    assert letter.message == ("inventory does not know shop.v2.OrderPlaced; it knows shop.v1.OrderPlaced")
    await stage.watch.until_told("other", "inventory.reserve succeeded")
    await stage.settled["inventory"].until(3)
    assert "s" not in {saga for (saga,) in stage.ask("inventory", "SELECT saga_id FROM amends_fence")}
    assert await stage.violations() == []


@pytest.mark.parametrize("saga", [None, "two%20words", "x" * 129])
async def test_a_missing_saga_id(stage: Stage, saga: str | None) -> None:
    await stage.start("inventory")
    nameless = with_headers(placed("s"), {"ce-correlationid": saga})
    await stage.publish(nameless, placed("other"))
    await stage.watch.until(lambda: any(each.subject == "amends.DeadLetter" for each in stage.watch.messages))
    [message] = [each for each in stage.watch.messages if each.subject == "amends.DeadLetter"]
    letter = choreography_pb2.DeadLetter.FromString(message.data)
    assert letter.reason == "MISSING_SAGA_ID"
    assert "ce-correlationid" in letter.message
    await stage.watch.until_told("other", "inventory.reserve succeeded")
    assert stage.fences("other") == {"reserve": "TRIED"}


async def test_two_events_without_a_saga_do_not_wait_for_each_other(stage: Stage) -> None:
    await stage.start("inventory")
    await stage.publish(*(with_headers(placed("s"), {"ce-correlationid": None}) for _ in range(2)))
    await stage.watch.until_dead("", 2)


async def test_a_payload_over_the_limit_of_a_reaction(stage: Stage) -> None:
    """It is refused within the transaction of what emitted it, which leaves nothing behind."""
    await stage.start()
    await stage.place("s", "large:reserve")
    letter = await dead_letter(stage, "s")
    assert (letter.reason, letter.step, letter.attempts) == ("EVENT_REFUSED", "reserve", 1)
    assert "send a reference to what is large" in letter.message
    assert stage.ask("inventory", "SELECT * FROM lines") == []
    await stage.place("other")
    await stage.completed("other")
    assert await stage.violations() == []


async def test_a_payload_over_the_limit_of_an_entry(stage: Stage) -> None:
    await stage.start("orders")
    with pytest.raises(PayloadError, match=r"more than the [0-9]+ that there is room for"):
        await stage.place("s", "large:place")
    assert stage.ask("orders", "SELECT * FROM lines") == []
    assert stage.fences("s") == {}


async def test_a_large_event_that_is_given_up_leaves_its_letter_without_it(stage: Stage) -> None:
    await stage.start("inventory")
    bus = stage.services["inventory"]._bus
    await stage.publish(replace(poison("s"), data=b"\xff" * room_on(bus)))
    letter = await dead_letter(stage, "s")
    assert (letter.reason, letter.data, dict(letter.headers)) == ("UNDECODABLE", b"", {})


async def test_what_comes_behind_a_dead_event_waits_for_its_replay(stage: Stage) -> None:
    await stage.start("inventory")
    newer = with_headers(placed("s"), {"ce-type": "shop.v2.OrderPlaced"})
    await stage.publish(newer, failed("s"), placed("s"))
    letter = await dead_letter(stage, "s")
    await stage.settled["inventory"].until(3)
    states = "SELECT state FROM amends_inbox ORDER BY number"
    assert stage.ask("inventory", states) == [("DEAD",), ("PARKED",), ("PARKED",)]
    await stage.publish(again(letter, "s", **{"ce-type": "shop.v1.OrderPlaced"}))
    await stage.watch.until_told("s", "inventory.reserve compensated")
    assert await stage.violations() == []
    assert {state for (state,) in stage.ask("inventory", states)} == {"DONE"}


async def test_a_replay_that_is_given_up_takes_the_place_of_what_it_repeats(stage: Stage) -> None:
    """Only the last of them is in the way of the rest of the saga, and is sent again."""
    await stage.start("inventory")
    newer = with_headers(placed("s"), {"ce-type": "shop.v2.OrderPlaced"})
    await stage.publish(newer, failed("s"))
    await stage.publish(again(await dead_letter(stage, "s"), "s"))
    await stage.watch.until_dead("s", 2)
    second = stage.watch.letters("s")[1]
    await stage.publish(again(second, "s", **{"ce-type": "shop.v1.OrderPlaced"}))
    await stage.watch.until_told("s", "inventory.reserve compensated")
    assert await stage.violations() == []


async def test_a_replay_is_meant_for_the_service_that_gave_the_event_up(stage: Stage) -> None:
    """Others that react to it have dealt with it."""
    await stage.start("orders", "inventory")
    await stage.place("s", "refuse-undo:reserve")
    await stage.watch.until_told("s", "inventory.reserve succeeded")
    await stage.publish(failed("s"))
    letter = await dead_letter(stage, "s")
    await stage.watch.until_told("s", "orders.place compensated")
    await stage.publish(again(letter, "s"))
    await stage.watch.until_dead("s", 2)
    await stage.settled["orders"].until(2)
    assert await stage.violations() == []


@pytest.mark.parametrize("header", ["ce-id", "ce-source", "ce-correlationid"])
async def test_an_id_that_is_far_too_long(stage: Stage, header: str) -> None:
    """It fits into no event that follows, and must not keep its service from saying so."""
    await stage.start("inventory")
    await stage.publish(with_headers(placed("s"), {header: "x" * 60_000}), placed("other"))
    await stage.watch.until(lambda: any(each.subject == "amends.DeadLetter" for each in stage.watch.messages))
    await stage.watch.until_told("other", "inventory.reserve succeeded")


@pytest.mark.parametrize("saga", [None, "elsewhere"])
async def test_what_waits_behind_a_dead_event_goes_on_whatever_saga_its_replay_names(
    sqlite_stage: Stage, saga: str | None
) -> None:
    stage = sqlite_stage
    await stage.start("inventory")
    await stage.publish(poison("s"), failed("s"))
    letter = await dead_letter(stage, "s")
    await stage.settled["inventory"].until(2)
    mended = replace(again(letter, "s", **{"ce-type": "shop.v1.Unknown"}), data=b"")
    await stage.publish(with_headers(mended, {"ce-correlationid": saga}))
    await stage.watch.until_told("s", "inventory.reserve buried")


async def test_a_dead_event_that_is_discarded_lets_those_behind_it_go(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it is done, and it is kept why."""
    await stage.start("inventory", "orders")
    await stage.publish(poison("s"), failed("s"))
    letter = await dead_letter(stage, "s")
    said = choreography_pb2.DeadLetterDiscarded(
        consumer="inventory", event_id=letter.event_id, reason="it came twice ✓"
    )
    await stage.publish(remedy(said, letter.subject, "s"))
    await stage.watch.until_told("s", "inventory.reserve buried")
    query = "SELECT state, error, data FROM amends_inbox WHERE event_id = '{}'"
    assert stage.ask("inventory", query.format(letter.event_id)) == [
        ("DONE", "discarded: it came twice ✓", None)
    ]
    assert "a dead event is discarded: it came twice ✓" in caplog.text
    assert await stage.violations() == []


async def test_a_remedy_for_another_service_or_for_what_is_not_dead_changes_nothing(
    sqlite_stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage = sqlite_stage
    await stage.start("inventory")
    await stage.publish(poison("s"))
    letter = await dead_letter(stage, "s")
    for kind in (choreography_pb2.DeadLetterDiscarded, choreography_pb2.DeadLetterReplayed):
        await stage.publish(
            remedy(kind(consumer="payments", event_id=letter.event_id), letter.subject, "s"),
            remedy(kind(consumer="inventory", event_id="nobody/7"), letter.subject, "s"),
        )
    nonsense = remedy(choreography_pb2.DeadLetterDiscarded(), letter.subject, "other")
    await stage.publish(replace(nonsense, data=b"\xff"))
    await stage.settled["inventory"].until(6)
    assert stage.ask("inventory", "SELECT count(*) FROM amends_inbox WHERE state = 'DEAD'") == [(1,)]
    assert caplog.text.count("names an event that is not dead here: nobody/7") == 2


async def test_a_dead_event_whose_letter_had_no_room_is_tried_again_from_what_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its attempts begin anew, and what waits behind it goes on waiting meanwhile."""
    await stage.start("inventory")
    inventory = stage.services["inventory"]
    large = placed("s", "refuse", "x" * room_on(inventory._bus))

    def refuse(ctx: object, wishes: list[str]) -> str:
        raise Refused("NOT_NOW", "it does not fit")

    with monkeypatch.context() as patched:
        patched.setattr(stage.shop.wishes, "forward", refuse)
        await stage.publish(large, failed("s"))
        letter = await dead_letter(stage, "s")
    assert (letter.reason, letter.data, dict(letter.headers)) == ("REFUSED", b"", {})
    said = choreography_pb2.DeadLetterReplayed(consumer="inventory", event_id=letter.event_id)
    monkeypatch.setattr(stage.shop.wishes, "forward", lambda ctx, wishes: wishes.clear() or "")
    await stage.publish(remedy(said, letter.subject, "s"))
    await stage.watch.until_told("s", "inventory.reserve succeeded", "inventory.reserve compensated")
    assert stage.ask("inventory", "SELECT DISTINCT state FROM amends_inbox") == [("DONE",)]


async def test_a_replay_that_cannot_be_read_is_nothing_to_others(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    await stage.start("inventory")
    await stage.publish(
        with_headers(placed("s"), {"ce-type": None, "ce-replayof": quote("payments/elsewhere/7")})
    )
    await stage.settled["inventory"].until(1)
    assert stage.ask("inventory", "SELECT state FROM amends_inbox") == [("DONE",)]


async def test_a_letter_that_is_larger_in_bytes_than_in_characters_goes_without_the_event(
    sqlite_stage: Stage,
) -> None:
    """Also where many small headers come to more in a letter than on the bus."""
    stage = sqlite_stage
    await stage.start("inventory")
    many = {f"h{number}": "" for number in range(110_000)}
    for saga, headers in (("wide", {"note": "é" * 600_000}), ("many", many)):
        await stage.publish(with_headers(poison(saga), headers))
        letter = await dead_letter(stage, saga)
        assert (letter.reason, letter.data, dict(letter.headers)) == ("UNDECODABLE", b"", {})


async def test_everything_about_a_dead_event_may_be_long_and_beyond_ascii(
    sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the smallest bus: the event is told, and known by what it can be replayed by."""
    stage = sqlite_stage
    monkeypatch.setattr(SqliteBus, "max_bytes", 16_384)

    def refuse(ctx: object, wishes: list[str]) -> str:
        raise Refused("NEVER", "😀" * 1_000 + "\ud800")

    monkeypatch.setattr(stage.shop.wishes, "forward", refuse)
    await stage.start("inventory")
    saga = "😀" * 128
    await stage.publish(placed(saga, source="😀" * 83), placed("long", source="😀" * 300))
    read, unread = await dead_letter(stage, saga), await dead_letter(stage, "long")
    assert (read.reason, read.message) == ("REFUSED", ("NEVER: " + "😀" * 1_000)[:1_000])
    assert unread.reason == "UNDECODABLE"
    dead = {event for (event,) in stage.ask("inventory", "SELECT event_id FROM amends_inbox")}
    assert dead == {read.event_id, unread.event_id}
