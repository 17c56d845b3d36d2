"""Events that cannot be dealt with: tried again, given up with a letter that says why, and sent again."""

import logging
from dataclasses import replace
from urllib.parse import quote

import pytest

from amends._bus.interface import Message
from amends.errors import PayloadError
from amends.v1 import choreography_pb2
from tests.choreography.foreign import failed, placed, poison, with_headers
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
    assert (letter.reason, letter.attempts) == ("HANDLER_FAILED", 4)
    assert "raised StumbledError" in letter.message
    assert await stage.violations() == []


async def test_a_handler_that_breaks_its_transaction_while_others_flow(stage: Stage) -> None:
    """Whatever is tried together with it is tried again without it, and it counts as a failure of its own."""
    await stage.start()
    await stage.place("stuck", "break:reserve")
    await stage.place_both()
    await stage.both_end()
    letter = await dead_letter(stage, "stuck")
    assert (letter.consumer, letter.attempts) == ("inventory", 4)
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
    large = replace(poison("s"), data=b"\xff" * (bus.max_bytes - 2_000))
    await stage.publish(large)
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
