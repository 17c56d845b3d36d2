"""The judgement of choreographed sagas can fail: what is left of one, with one thing wrong in it."""

from dataclasses import replace
from typing import Final

import pytest

from amends.v1 import choreography_pb2, saga_pb2
from tests.promises.choreography import Event, Part, broken_promises
from tests.promises.ledgers import Line, Trace

PIVOT: Final = saga_pb2.Step.PIVOT

DECLARED: Final = {
    "shop": choreography_pb2.ServiceDescription(
        service="shop",
        reactions=[
            choreography_pb2.ReactionDescription(
                step="place",
                kind=saga_pb2.Step.COMPENSATABLE,
                emits=["Placed"],
                compensations=[choreography_pb2.CompensationDescription(on="Failed")],
            )
        ],
    ),
    "bank": choreography_pb2.ServiceDescription(
        service="bank",
        reactions=[
            choreography_pb2.ReactionDescription(
                step="charge", on="Placed", kind=PIVOT, emits=["Charged"], fails_as="Failed"
            )
        ],
    ),
}

PLACED: Final = Event(reference="shop/1", type="Placed", source="shop", step="place", outcome="succeeded")
CHARGED: Final = Event(
    reference="bank/1", type="Charged", source="bank", step="charge", outcome="succeeded", cause="shop/1"
)
FAILED: Final = Event(
    reference="bank/1", type="Failed", source="bank", step="charge", outcome="rejected", cause="shop/1"
)
WITHDRAWN: Final = Event(
    reference="shop/2", type="StepEnded", source="shop", step="place", outcome="compensated", cause="bank/1"
)
LETTER: Final = Event(
    reference="shop/3", type="amends.v1.DeadLetter", source="shop", about=("shop", "bank/1"), cause="bank/1"
)

TRIED: Final = Trace(fence="TRIED", lines=(Line("applied", "d", 10),), moves=("TRIED",))
TRIED_LATER: Final = replace(TRIED, lines=(Line("applied", "e", 20),))
UNDONE: Final = Trace(
    fence="COMPENSATED",
    lines=(Line("applied", "d", 10), Line("undone", "d", 30)),
    moves=("TRIED", "COMPENSATED"),
)
REFUSED: Final = Trace(fence="REJECTED", moves=("REJECTED",))


def completed() -> tuple[dict[str, Part], list[Event]]:
    """What is left of a saga that completed."""
    shop = Part(traces={"place": TRIED}, outbox={"shop/1": True})
    bank = Part(traces={"charge": TRIED_LATER}, inbox={"shop/1": "DONE"}, outbox={"bank/1": True})
    return {"shop": shop, "bank": bank}, [PLACED, CHARGED]


def compensated() -> tuple[dict[str, Part], list[Event]]:
    """What is left of a saga that turned back."""
    shop = Part(traces={"place": UNDONE}, inbox={"bank/1": "DONE"}, outbox={"shop/1": True, "shop/2": True})
    bank = Part(traces={"charge": REFUSED}, inbox={"shop/1": "DONE"}, outbox={"bank/1": True})
    return {"shop": shop, "bank": bank}, [PLACED, FAILED, WITHDRAWN]


def given_up() -> tuple[dict[str, Part], list[Event]]:
    """What is left of one whose compensation is dead."""
    parts, _ = compensated()
    parts["shop"] = Part(
        traces={"place": TRIED}, inbox={"bank/1": "DEAD"}, outbox={"shop/1": True, "shop/3": True}
    )
    return parts, [PLACED, FAILED, LETTER]


def judged(left: tuple[dict[str, Part], list[Event]]) -> list[str]:
    return [what.partition(":")[0] for what in broken_promises(DECLARED, *left)]


@pytest.mark.parametrize("ended", [completed, compensated, given_up])
def test_nothing_is_said_of_a_saga_that_ended_well(ended) -> None:
    assert judged(ended()) == []


def test_an_effect_that_was_had_twice_breaks_p4() -> None:
    parts, events = completed()
    parts["shop"].traces["place"] = replace(TRIED, lines=(*TRIED.lines, *TRIED.lines))
    assert "P4" in judged((parts, events))


def test_an_effect_left_by_a_saga_that_turned_back_breaks_p3() -> None:
    parts, events = compensated()
    parts["shop"].traces["place"] = TRIED
    assert "P3" in judged((parts, events))


def test_an_effect_after_its_compensation_breaks_p5() -> None:
    parts, events = compensated()
    parts["shop"].traces["place"] = replace(UNDONE, moves=("TOMBSTONE", "TRIED", "COMPENSATED"))
    assert judged((parts, events)) == ["P5"]


def test_an_undone_effect_in_a_saga_that_nobody_turned_back_breaks_p3() -> None:
    parts, events = completed()
    parts["shop"].traces["place"] = UNDONE
    assert {"P3", "P8"} <= set(judged((parts, events)))


def test_an_event_that_nobody_answered_to_breaks_p2() -> None:
    parts, _ = completed()
    del parts["bank"]
    assert judged((parts, [PLACED])) == ["P2"]


def test_a_compensation_that_never_came_breaks_p2() -> None:
    parts, events = compensated()
    parts["shop"].traces["place"] = TRIED
    assert "P2" in judged((parts, events))


def test_an_event_marked_as_sent_that_is_not_on_the_bus_breaks_p2() -> None:
    parts, _ = completed()
    assert "P2" in judged((parts, [PLACED]))


@pytest.mark.parametrize("state", ["WAITING", "PARKED"])
def test_an_event_that_still_waits_breaks_p2(state) -> None:
    parts, events = completed()
    parts["bank"].inbox["shop/1"] = state
    assert judged((parts, events)) == ["P2"]


def test_an_event_that_is_still_in_an_outbox_breaks_p2() -> None:
    parts, events = completed()
    parts["bank"].outbox["bank/1"] = False
    assert judged((parts, events)) == ["P2"]


def test_an_event_that_no_transaction_left_behind_breaks_p7() -> None:
    parts, events = completed()
    parts["bank"].outbox.clear()
    assert judged((parts, events)) == ["P7"]


def test_a_dead_event_without_a_letter_breaks_p12() -> None:
    parts, events = given_up()
    assert "P12" in judged((parts, events[:-1]))


def test_a_dead_event_excuses_nobody_but_its_consumer() -> None:
    parts, events = given_up()
    parts["bank"].traces["charge"] = TRIED_LATER
    assert "P3" in judged((parts, events))


def test_two_events_that_tell_the_same_of_a_step_for_two_causes_break_p4() -> None:
    parts, events = completed()
    parts["bank"].outbox["bank/2"] = True
    again = replace(CHARGED, reference="bank/2", cause="shop/9")
    assert set(judged((parts, [*events, again]))) == {"P4", "P6"}


def test_a_step_that_no_event_tells_of_breaks_p3() -> None:
    parts, _ = completed()
    del parts["bank"].outbox["bank/1"]
    assert judged((parts, [PLACED])) == ["P3"]


def test_a_step_before_the_one_that_led_to_it_breaks_p6() -> None:
    parts, events = completed()
    parts["bank"].traces["charge"] = replace(TRIED, lines=(Line("applied", "e", 5),))
    assert judged((parts, events)) == ["P6"]


def test_turning_back_behind_a_pivot_breaks_p8() -> None:
    parts, events = completed()
    parts["shop"] = compensated()[0]["shop"]
    assert "P8" in judged((parts, events))


def test_what_nobody_declares_breaks_p7() -> None:
    parts, events = completed()
    parts["bank"].traces["steal"] = TRIED_LATER
    stolen = replace(CHARGED, reference="bank/2", step="steal")
    parts["bank"].outbox["bank/2"] = True
    assert judged((parts, [*events, stolen])) == ["P7", "P7"]
