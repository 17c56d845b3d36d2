"""What events and declared reactions come to, told as stories. Nothing here waits, reads or writes."""

from collections.abc import Iterable

from amends._choreography.cloudevent import CloudEvent
from amends.v1 import choreography_pb2 as pb
from amends.v1 import saga_pb2
from amends_coordinator.core.transitions import TrackedState
from amends_coordinator.tracker.graph import Graph
from amends_coordinator.tracker.messages import saga_to_proto
from amends_coordinator.tracker.reading import read_event, read_graph
from amends_coordinator.tracker.saga import EVENTS_MAX, NAMED_MAX, Fact, TrackedSaga, conclude, hear
from tests.tracker.shop import ENDED, NOW, SERVICES, Story, reaction

GRAPH = read_graph(SERVICES)
LATER = NOW + 10_000.0


def heard(
    saga: TrackedSaga, events: Iterable[CloudEvent], *, graph: Graph = GRAPH, silence: str = ""
) -> list[str]:
    """Takes events in, concludes, and names what is new."""
    facts: list[Fact] = []
    for event in events:
        read = read_event(event.to_message())
        assert read is not None
        facts += hear(saga, read[1], LATER)
    facts += conclude(saga, graph, LATER, silence=silence)
    return [type(fact).__name__ for fact in facts]


def track(story: Story, *, graph: Graph = GRAPH, silence: str = "") -> TrackedSaga:
    saga = TrackedSaga(id=story.saga_id)
    heard(saga, story.events, graph=graph, silence=silence)
    return saga


def steps(saga: TrackedSaga, graph: Graph = GRAPH) -> dict[str, str]:
    shown = saga_to_proto(saga, graph).steps
    return {run.step: saga_pb2.StepRun.State.Name(run.state) for run in shown}


def services(**reactions: list[pb.ReactionDescription]) -> Graph:
    return read_graph(
        {
            name: pb.ServiceDescription(service=name, reactions=each).SerializeToString()
            for name, each in reactions.items()
        }
    )


def test_a_saga_runs_while_somebody_is_to_react() -> None:
    """The next step is being tried, and what may come after it waits."""
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    saga = track(story)
    assert saga.state is TrackedState.RUNNING
    assert steps(saga) == {
        "orders.place": "SUCCEEDED",
        "inventory.reserve": "TRYING",
        "payments.charge": "WAITING",
        "shipping.ship": "WAITING",
    }
    needs = {step.name: list(step.needs.steps) for step in saga_to_proto(saga, GRAPH).definition.steps}
    assert needs["shipping.ship"] == ["payments.charge"]


def test_a_saga_of_which_nothing_is_expected_has_completed() -> None:
    saga = track(Story().completed())
    assert saga.state is TrackedState.COMPLETED
    assert set(steps(saga).values()) == {"SUCCEEDED"}
    assert saga.end_time == NOW + 3


def test_a_rejection_turns_a_saga_back_until_all_that_succeeded_is_undone() -> None:
    story = Story().compensated()
    saga = TrackedSaga(id="s")
    assert heard(saga, story.events[:3]) == ["Began", "Heard", "Heard", "Heard", "TurnedBack"]
    assert saga.state is TrackedState.COMPENSATING
    assert steps(saga) == {
        "orders.place": "COMPENSATING",
        "inventory.reserve": "COMPENSATING",
        "payments.charge": "REJECTED",
        "shipping.ship": "SKIPPED",
    }
    assert heard(saga, story.events[3:4]) == ["Heard"]
    assert saga.state is TrackedState.COMPENSATING
    assert heard(saga, story.events[4:]) == ["Heard", "Ended"]
    assert saga.state is TrackedState.COMPENSATED


def test_a_step_that_was_rejected_has_nothing_to_compensate_and_says_nothing() -> None:
    """Its fence confirms: even where it is compensated on its own failure, nothing more is expected of it."""
    graph = services(
        payments=[reaction("charge", "OrderPlaced", "PaymentTaken", "PaymentFailed", PaymentFailed="Undone")]
    )
    story = Story()
    story.tell("OrderPlaced", source="shop")
    story.tell("PaymentFailed", "payments.charge", "rejected")
    assert track(story, graph=graph).state is TrackedState.COMPENSATED


def test_a_step_that_was_never_tried_is_expected_to_be_buried() -> None:
    """Its fence has no row, so it remembers a tombstone and says so; an event that comes later is refused."""
    graph = services(
        inventory=[reaction("reserve", "OrderPlaced", "StockReserved", OrderWithdrawn="StockReleased")]
    )
    story = Story()
    story.tell("OrderWithdrawn", "orders.withdraw")
    saga = TrackedSaga(id="s")
    assert heard(saga, story.events, graph=graph) == ["Began", "Heard", "TurnedBack"]
    assert saga.state is TrackedState.COMPENSATING
    story.tell(ENDED, "inventory.reserve", "buried")
    story.tell("OrderPlaced", "orders.place")
    assert heard(saga, story.events[1:], graph=graph)[-1] == "Ended"
    assert saga.state is TrackedState.COMPENSATED
    assert steps(saga, graph)["inventory.reserve"] == "SKIPPED"


def test_a_success_that_comes_after_the_failure_is_still_to_be_undone() -> None:
    """Two react side by side; one fails before the other has said that it succeeded."""
    graph = services(
        inventory=[reaction("reserve", "OrderPlaced", "StockReserved", PaymentFailed="StockReleased")],
        payments=[reaction("charge", "OrderPlaced", "PaymentTaken", "PaymentFailed")],
    )
    story = Story()
    story.tell("OrderPlaced", source="web")
    story.tell("PaymentFailed", "payments.charge", "rejected")
    story.tell("StockReserved", "inventory.reserve")
    saga = track(story, graph=graph)
    assert saga.state is TrackedState.COMPENSATING
    story.tell("StockReleased", "inventory.reserve", "compensated")
    heard(saga, story.events[3:], graph=graph)
    assert saga.state is TrackedState.COMPENSATED


def test_a_compensation_may_follow_that_of_another_step() -> None:
    """Where order matters, the next compensation reacts to the event of the one before."""
    graph = services(
        a=[reaction("do", "Begun", "ADone", BUndone="AUndone")],
        b=[reaction("do", "ADone", "BDone", CFailed="BUndone")],
        c=[reaction("do", "BDone", "CDone", "CFailed")],
    )
    story = Story()
    story.tell("Begun", source="web")
    story.tell("ADone", "a.do")
    story.tell("BDone", "b.do")
    story.tell("CFailed", "c.do", "rejected")
    saga = track(story, graph=graph)
    assert steps(saga, graph) == {"a.do": "SUCCEEDED", "b.do": "COMPENSATING", "c.do": "REJECTED"}
    story.tell("BUndone", "b.do", "compensated")
    heard(saga, story.events[-1:], graph=graph)
    assert steps(saga, graph)["a.do"] == "COMPENSATING"
    story.tell("AUndone", "a.do", "compensated")
    heard(saga, story.events[-1:], graph=graph)
    assert saga.state is TrackedState.COMPENSATED


def test_a_step_that_emits_several_events_has_ended_once() -> None:
    """All of them carry its name and outcome; those who react to either are expected."""
    graph = services(a=[reaction("left", "Left", "LeftDone")], b=[reaction("right", "Right", "RightDone")])
    story = Story()
    story.tell("Left", "web.begin")
    story.tell("Right", "web.begin", cause="")
    saga = track(story, graph=graph)
    assert steps(saga, graph) == {"web.begin": "SUCCEEDED", "a.left": "TRYING", "b.right": "TRYING"}


def test_an_event_that_was_heard_before_is_nothing_new() -> None:
    """Known by its source and id, whatever the bus calls it."""
    story = Story().completed()
    saga = track(story)
    assert heard(saga, story.events) == []
    assert len(saga.observations) == 4


def test_silence_stalls_a_saga_and_says_who_is_expected_to_do_what() -> None:
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    saga = TrackedSaga(id="s")
    assert heard(saga, story.events, silence="5 minutes")[-1] == "Stalled"
    assert saga.state is TrackedState.STALLED
    assert saga.needs_attention == "inventory has not reacted to OrderPlaced for 5 minutes"
    assert heard(saga, [], silence="5 minutes") == []
    story.tell("StockReserved", "inventory.reserve")
    assert heard(saga, story.events[1:]) == ["Heard"]
    assert (saga.state, saga.needs_attention) == (TrackedState.RUNNING, "")


def test_a_compensation_that_does_not_come_stalls_a_saga() -> None:
    """Of many that are expected the first are named."""
    saga = track(Story(events=Story().compensated().events[:3]), silence="5 minutes")
    assert saga.needs_attention == (
        "orders has not compensated place after PaymentFailed for 5 minutes; "
        "inventory has not compensated reserve after PaymentFailed for 5 minutes"
    )
    many = services(**{f"s{number}": [reaction("do", "Begun", "Done")] for number in range(NAMED_MAX + 2)})
    story = Story()
    story.tell("Begun", source="web")
    assert track(story, graph=many, silence="5 minutes").needs_attention.endswith("; and 2 more")


def test_a_dead_letter_stalls_a_saga_at_once_until_it_is_sent_again() -> None:
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    reserved = story.tell("StockReserved", "inventory.reserve")
    story.dead(reserved, "payments", "charge")
    saga = track(story)
    assert saga.state is TrackedState.STALLED
    assert saga.needs_attention == (
        "payments could not deal with StockReserved: HANDLER_FAILED; see amends dead-letters list"
    )
    charge = next(run for run in saga_to_proto(saga, GRAPH).steps if run.step == "payments.charge")
    assert (charge.last_failure.attempt, charge.last_failure.message) == (
        5,
        "HANDLER_FAILED: the bank said no",
    )
    story.replayed(reserved, "payments")
    heard(saga, story.events[3:])
    assert (saga.state, saga.needs_attention) == (TrackedState.RUNNING, "")


def test_what_an_operator_had_discarded_is_expected_no_more() -> None:
    """The step is shown as it was left, and its saga ends without it."""
    story = Story(events=Story().compensated().events[:3])
    story.dead(story.events[2], "inventory", "reserve", "REFUSED")
    story.tell("OrderCancelled", "orders.place", "compensated")
    saga = track(story)
    assert saga.state is TrackedState.STALLED
    story.discarded(story.events[2], "inventory")
    heard(saga, story.events[5:])
    assert (saga.state, saga.needs_attention) == (TrackedState.COMPENSATED, "")
    assert steps(saga)["inventory.reserve"] == "SUCCEEDED"


def test_what_was_sent_again_and_discarded_then_is_expected_no_more() -> None:
    story = Story()
    placed = story.tell("OrderPlaced", "orders.place")
    story.dead(placed, "inventory", "reserve")
    story.replayed(placed, "inventory")
    again = story.events[2]
    story.dead(again, "inventory", "reserve")
    story.discarded(again, "inventory")
    saga = track(story)
    assert (saga.state, saga.needs_attention) == (TrackedState.COMPLETED, "")


def test_what_one_service_discards_is_still_expected_of_another() -> None:
    story = Story()
    placed = story.tell("OrderPlaced", "orders.place")
    story.dead(placed, "audit", "note")
    story.discarded(placed, "audit")
    assert track(story).state is TrackedState.RUNNING


def test_a_dead_letter_of_a_compensation_is_shown_at_the_step_that_is_to_be_undone() -> None:
    story = Story(events=Story().compensated().events[:3])
    story.dead(story.events[2], "inventory", "reserve", "REFUSED")
    shown = {run.step: run for run in saga_to_proto(track(story), GRAPH).steps}
    assert shown["inventory.reserve"].last_failure.direction == saga_pb2.BACKWARD


PIVOTED = services(
    orders=[
        reaction("place", "", "OrderPlaced", PaymentFailed="OrderWithdrawn", OrderCancelled="OrderWithdrawn")
    ],
    payments=[reaction("charge", "OrderPlaced", "PaymentTaken", "PaymentFailed", kind=saga_pb2.Step.PIVOT)],
)


def test_a_saga_that_turned_back_after_its_pivot_stalls_and_says_so() -> None:
    """P8: a cancel came when the money had been taken. The order goes, and the money stays."""
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    story.tell("PaymentTaken", "payments.charge")
    saga = TrackedSaga(id="s")
    assert heard(saga, story.events, graph=PIVOTED)[-1] == "Ended"
    assert saga.state is TrackedState.COMPLETED
    story.tell("OrderCancelled", source="web")
    assert heard(saga, story.events[2:], graph=PIVOTED) == ["Heard", "TurnedBack", "Stalled"]
    story.tell("OrderWithdrawn", "orders.place", "compensated")
    assert heard(saga, story.events[3:], graph=PIVOTED) == ["Heard"]
    assert (saga.state, saga.end_time) == (TrackedState.STALLED, None)
    assert saga.needs_attention == "turned back although payments.charge, its pivot, succeeded"
    assert steps(saga, PIVOTED) == {"orders.place": "COMPENSATED", "payments.charge": "SUCCEEDED"}


def test_a_pivot_that_succeeds_after_a_saga_has_turned_back_is_told_likewise() -> None:
    """The cancel came first, and the payment went through beside it."""
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    story.tell("OrderCancelled", source="web")
    story.tell("OrderWithdrawn", "orders.place", "compensated")
    saga = track(story, graph=PIVOTED)
    assert saga.state is TrackedState.COMPENSATING
    story.tell("PaymentTaken", "payments.charge")
    assert heard(saga, story.events[3:], graph=PIVOTED) == ["Heard", "Stalled"]
    assert saga.needs_attention == "turned back although payments.charge, its pivot, succeeded"


def test_a_saga_that_turned_back_at_its_pivot_is_compensated() -> None:
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    story.tell("PaymentFailed", "payments.charge", "rejected")
    story.tell("OrderWithdrawn", "orders.place", "compensated")
    assert track(story, graph=PIVOTED).state is TrackedState.COMPENSATED


def test_a_dead_letter_is_told_beside_a_pivot_that_was_passed() -> None:
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    story.tell("PaymentTaken", "payments.charge")
    cancelled = story.tell("OrderCancelled", source="web")
    story.dead(cancelled, "orders", "place")
    assert track(story, graph=PIVOTED).needs_attention == (
        "turned back although payments.charge, its pivot, succeeded; "
        "orders could not deal with OrderCancelled: HANDLER_FAILED; see amends dead-letters list"
    )


def test_a_saga_that_ended_goes_on_if_more_comes_of_it() -> None:
    """An end is a conclusion: a late event may begin another branch."""
    story = Story().completed()
    saga = track(story)
    story.tell("PaymentFailed", "payments.charge", "rejected")
    assert heard(saga, story.events[4:]) == ["Heard", "TurnedBack"]
    assert (saga.state, saga.end_time) == (TrackedState.COMPENSATING, None)


def test_a_late_event_of_which_nothing_follows_ends_a_saga_no_second_time() -> None:
    story = Story().completed()
    saga = track(story)
    story.tell("ShipmentSeen", source="carrier")
    assert heard(saga, story.events[4:]) == ["Heard"]
    assert saga.end_time == NOW + 3


def test_a_graph_that_becomes_known_later_puts_an_old_judgement_right() -> None:
    """In both directions: what was thought to be the end, and what was thought to be missing."""
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    saga = track(story, graph=Graph())
    assert saga.state is TrackedState.COMPLETED
    conclude(saga, GRAPH, LATER, silence="")
    assert saga.state is TrackedState.RUNNING
    conclude(saga, Graph(), LATER, silence="")
    assert saga.state is TrackedState.COMPLETED


def test_a_step_that_nobody_announced_is_shown_as_it_happens() -> None:
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    story.tell("FraudChecked", "fraud.check")
    saga = track(story)
    assert steps(saga)["fraud.check"] == "SUCCEEDED"


def test_a_saga_is_named_after_its_entry_or_the_event_from_elsewhere() -> None:
    """In the form of every definition's name, so that a list can ask for it."""
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    assert track(story).definition_name == "orders.place"
    story = Story()
    story.tell("shop.v1.OrderPlaced", source="https://shop.example/web")
    assert track(story).definition_name == "https:__shop.example_web.OrderPlaced"


def test_clocks_that_are_apart_do_not_turn_a_story_around() -> None:
    """An event is told no earlier than the one before it, and no later than it was heard."""
    story = Story()
    story.tell("OrderPlaced", "orders.place", time=NOW + 3_600)
    story.tell("StockReserved", "inventory.reserve", time=NOW)
    story.tell("PaymentTaken", "payments.charge", time=LATER + 3_600)
    assert [each.time for each in track(story).observations] == [NOW + 3_600, NOW + 3_600, LATER]


def test_a_saga_that_emits_without_end_is_followed_no_further() -> None:
    """It must not fill the memory, and says so."""
    story = Story()
    for _ in range(EVENTS_MAX + 5):
        story.tell("Ticked", source="clock")
    saga = track(story)
    assert len(saga.observations) == EVENTS_MAX
    assert saga.state is TrackedState.STALLED
    assert f"has {EVENTS_MAX} events" in saga.needs_attention


def test_reactions_that_lead_in_a_circle_are_shown_once() -> None:
    graph = services(a=[reaction("ping", "Pong", "Ping")], b=[reaction("pong", "Ping", "Pong")])
    story = Story()
    story.tell("Ping", source="web")
    saga = track(story, graph=graph)
    assert steps(saga, graph) == {"b.pong": "TRYING", "a.ping": "WAITING"}


def test_graphs_are_equal_if_the_same_was_announced() -> None:
    assert read_graph(SERVICES) == GRAPH
    assert read_graph({}) != GRAPH
    assert GRAPH != "another thing"
    assert repr(GRAPH) == "<Graph of 4 steps in 4 services>"
