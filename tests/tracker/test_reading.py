"""What is read of messages and announcements, and what is left alone."""

import logging
from dataclasses import replace

import pytest

from amends._bus.interface import Message
from amends._choreography.cloudevent import MalformedEventError
from amends.v1 import choreography_pb2 as pb
from amends_coordinator.tracker.graph import StepKey
from amends_coordinator.tracker.observation import Outcome
from amends_coordinator.tracker.reading import ID_MAX, TEXT_MAX, read_event, read_graph
from tests.tracker.shop import DEAD, SERVICES, Story


def message(**more: object) -> Message:
    return Story().tell("OrderPlaced", "orders.place", **more).to_message()  # type: ignore[arg-type]


def test_an_event_is_read_with_what_it_tells_of_its_step() -> None:
    read = read_event(message(cause="web/7"))
    assert read is not None
    saga_id, seen = read
    assert (saga_id, seen.reference, seen.type) == ("order-1", "orders/order-1-1", "OrderPlaced")
    assert (seen.key, seen.outcome, seen.cause) == (StepKey("orders", "place"), Outcome.SUCCEEDED, "web/7")


def test_an_outcome_of_a_newer_service_tells_of_no_step() -> None:
    read = read_event(message(outcome="postponed"))
    assert read is not None
    assert read[1].key is None


def test_an_event_without_a_saga_is_about_none() -> None:
    assert read_event(message(saga_id="")) is None


def test_an_id_beyond_ascii_is_an_id() -> None:
    read = read_event(message(saga_id="Bestellung №7/ü"))
    assert read is not None
    assert read[0] == "Bestellung №7/ü"


@pytest.mark.parametrize("saga_id", ["x" * (ID_MAX + 1), "a\nb", "a\x00b"])
def test_an_id_that_cannot_be_shown_is_refused(saga_id: str) -> None:
    with pytest.raises(MalformedEventError, match="the saga's id must have at most 256 characters"):
        read_event(message(saga_id=saga_id))


def test_a_message_that_is_no_event_is_refused() -> None:
    with pytest.raises(MalformedEventError, match="ce-id is missing"):
        read_event(replace(message(), headers={}))


def test_a_payload_that_cannot_be_read_is_no_matter_of_ours() -> None:
    """Its consumers will say what they think of it; the attributes tell how far the saga is."""
    event = message()
    odd = replace(event, headers={**event.headers, "content-type": "application/json"}, data=b"{")
    assert read_event(odd) is not None


def test_attributes_are_kept_up_to_a_length() -> None:
    read = read_event(message(cause="x" * 10_000))
    assert read is not None
    assert len(read[1].cause) == TEXT_MAX


def test_a_dead_letter_is_read_with_the_type_of_its_event() -> None:
    """Without a type in its headers, by its subject."""
    story = Story()
    letter = story.dead(story.tell("Größe", "orders.place"), "payments", "charge")
    read = read_event(letter.to_message())
    assert read is not None
    assert read[1].letter is not None
    assert (read[1].letter.event_type, read[1].letter.consumer, read[1].key) == ("Größe", "payments", None)
    bare = pb.DeadLetter(consumer="payments", event_id="7", subject="shop.Paid").SerializeToString()
    read = read_event(replace(letter.to_message(), data=bare))
    assert read is not None
    assert read[1].letter is not None
    assert read[1].letter.event_type == "shop.Paid"


def test_a_dead_letter_that_cannot_be_decoded_is_an_event_like_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = replace(Story().tell(DEAD, source="payments").to_message(), data=b"\xff")
    read = read_event(event)
    assert read is not None
    assert read[1].letter is None
    assert "cannot be decoded as one" in caplog.text


def test_a_kind_that_is_not_known_yet_counts_as_the_default() -> None:
    """A client may not know it either."""
    newer = pb.ServiceDescription(reactions=[pb.ReactionDescription(step="s", on="T")])
    newer.reactions[0].kind = 99  # type: ignore[assignment] # as a newer service announces it
    reaction = read_graph({"a": newer.SerializeToString()}).reaction(StepKey("a", "s"))
    assert reaction is not None
    assert reaction.kind == 0


def test_an_announcement_that_cannot_be_decoded_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    graph = read_graph({**SERVICES, "fraud": b"\xff"})
    assert graph.reaction(StepKey("inventory", "reserve")) is not None
    assert "the announcement of service fraud cannot be decoded" in caplog.text
